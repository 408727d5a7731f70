"""Subjects that stay out of every plan, run and rollback: they asked to be forgotten, or took their consent back.

The list is a file for now (`SLUICE_SUPPRESSION_FILE`): JSON, one object a line, such as

    {"tenant": "demo", "visitor_id": "v-17", "reason": "erasure 2026-11-03"}
    {"tenant": "demo", "user_id": "u-4", "reason": "consent withdrawn"}

Whoever keeps it otherwise gives a `Suppressed` of another making.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from core.errors import ConfigError
from sinks.clickhouse import ClickHouse

TABLE = "replay_suppressed"
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0"})


class Subject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of `visitor_id` and `user_id` is given."""

    tenant: str
    visitor_id: str = ""
    user_id: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        if not self.tenant or bool(self.visitor_id) == bool(self.user_id):
            raise ValueError("a subject has a tenant and either a visitor_id or a user_id")


class Suppressed:
    """A list of subjects as a condition on rows of the plan `plan`. `create` before it is used, `drop` afterwards."""

    def __init__(self, subjects: Iterable[Subject]) -> None:
        self.subjects = list(subjects)
        self._table = ""

    def create(self, server: ClickHouse, *, plan: str) -> None:
        """Whoever calls this works on the plan, or on its run, alone (`holding`)."""
        self._table = f"{TABLE}_{plan}"
        if not self.subjects:
            return
        self.drop(server)
        server.execute(
            f"CREATE TABLE {self._table} (tenant String, kind LowCardinality(String), subject String) "
            "ENGINE = MergeTree ORDER BY (tenant, kind, subject)"
        )
        lines = [
            "\t".join(
                (
                    each.tenant.translate(_ESCAPES),
                    "visitor" if each.visitor_id else "user",
                    (each.visitor_id or each.user_id).translate(_ESCAPES),
                )
            )
            for each in self.subjects
        ]
        server.insert(f"INSERT INTO {self._table} FORMAT TabSeparated", "\n".join(lines).encode(), settings={})

    def drop(self, server: ClickHouse) -> None:
        if self.subjects:
            server.execute(f"DROP TABLE IF EXISTS {self._table} SYNC")

    def condition(self, alias: str = "") -> str:
        """SQL that is true for rows of a suppressed subject; `alias` is that of a table with the columns of events."""
        if not self.subjects:
            return "false"
        of = f"{alias}." if alias else ""
        return " OR ".join(
            f"({of}tenant, {of}{column}) IN (SELECT tenant, subject FROM {self._table} WHERE kind = '{kind}')"  # noqa: S608
            for kind, column in (("visitor", "visitor_id"), ("user", "user_id"))
        ).join("()")


def from_file(path: str) -> Suppressed:
    """The list of the file `path`; nobody if it is empty.

    Raises:
        ConfigError: the file cannot be read, or a line of it: a list that is half understood lets somebody back in.
    """
    if not path:
        return Suppressed([])
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"SLUICE_SUPPRESSION_FILE names {path}, which cannot be read: {error}") from error
    subjects = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                subjects.append(msgspec.json.decode(line, type=Subject))
            except (msgspec.MsgspecError, ValueError) as error:
                raise ConfigError(f"{path}, line {number}: {error}") from error
    return Suppressed(subjects)
