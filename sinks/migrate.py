"""Applies the numbered SQL files under migrations/: in order, once each, recorded with their checksum; then the typed
views of events (`views`).

Every statement can be run again (`IF NOT EXISTS`): a migration killed half-way is simply applied again. Where SQL has
no such form, a line `-- unless: SELECT …` above a statement says when it is done already. Files that were applied never
change; a checksum that differs stops the release that would ignore it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import StateError
from core.log import get_logger
from core.settings import Settings
from schemas.registry import registry_at
from sinks import views
from sinks.clickhouse import ClickHouse, ServerError
from sinks.cluster import render
from sinks.retention import tenants
from sinks.views import EventViews

log = get_logger(__name__)
_FOLDER = Path(__file__).parent / "migrations"
_UNLESS = re.compile(r"^-- unless: (?P<query>.+)$", re.MULTILINE)
# Rollups of years are copied by one statement.
_PATIENCE_S = 3_600.0

_LEDGER = """
CREATE TABLE IF NOT EXISTS migrations (
    number UInt32,
    name String,
    checksum String,
    applied_at DateTime DEFAULT now()
) ENGINE = MergeTree ORDER BY number
COMMENT 'Migrations applied to this database, with the checksum of their text.'
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file `NNNN_name.sql`: statements separated by a semicolon at the end of a line."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.number:04} {self.name}"

    @property
    def statements(self) -> list[str]:
        return [s.strip() for s in f"{self.text}\n".split(";\n") if _has_code(s)]


def load(folder: Path = _FOLDER) -> list[Migration]:
    """All migrations, in order. Raises StateError on a double number."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        number, _, name = path.stem.partition("_")
        found.append(Migration(int(number), name, path.read_text(encoding="utf-8")))
    numbers = [m.number for m in found]
    if len(numbers) != len(set(numbers)):
        raise StateError(f"{folder}: two migrations have the same number: {numbers}")
    return found


def apply(settings: Settings) -> list[Migration | EventViews]:
    """Bring the database up to date; returns what was applied now. Idempotent.

    Raises:
        ConfigError: the contracts cannot be read, or two events would have views of one name.
        StateError: an applied migration's text has changed, the database is of a later release, or it lacks what a
            migration builds on.
    """
    registry = registry_at(settings.schemas_dir)
    pending = apply_numbered(settings, load())
    server = ClickHouse(settings)
    tenants.restore(server)
    return [*pending, *views.apply(server, registry, cluster=settings.clickhouse_cluster)]


def apply_numbered(settings: Settings, migrations: Sequence[Migration]) -> list[Migration]:
    """Apply those of `migrations` that the database does not have; returns them.

    Raises:
        StateError: as above.
    """
    cluster = settings.clickhouse_cluster
    database = f"CREATE DATABASE IF NOT EXISTS `{settings.clickhouse_database}`"
    ClickHouse(settings, database="").execute(render(database, cluster))
    server = ClickHouse(settings, read_timeout_s=_PATIENCE_S)
    server.execute(render(_LEDGER.strip(), cluster))
    pending = _pending(applied(server), migrations)
    for migration in pending:
        _apply(server, migration, cluster)
    return pending


def plan(settings: Settings) -> list[Migration]:
    """What `apply` would apply of the numbered files. Changes nothing.

    Raises:
        StateError: as `apply`.
    """
    return _pending(applied(ClickHouse(settings)), load())


def applied(server: ClickHouse) -> dict[int, str]:
    """Checksum of each migration that the database has, by number; none if there is no database yet."""
    try:
        return dict(server.rows("SELECT number, checksum FROM migrations"))
    except ServerError as error:
        if error.about == "tables":
            return {}
        raise


def _pending(done: dict[int, str], migrations: Sequence[Migration]) -> list[Migration]:
    _check(done, migrations)
    return [m for m in migrations if m.number not in done]


def _apply(server: ClickHouse, migration: Migration, cluster: str) -> None:
    for statement in migration.statements:
        try:
            if not _is_done(server, statement):
                server.execute(render(statement, cluster))
        except ServerError as error:
            if error.about != "tables":
                raise
            raise StateError(
                f"migration {migration} cannot be applied: the database lacks what it builds on. {error.message}",
                hint="`sluice migrate status` names what is missing and the statements that put it right.",
            ) from error
    server.execute(
        "INSERT INTO migrations (number, name, checksum) VALUES ({number:UInt32}, {name:String}, {checksum:String})",
        number=migration.number,
        name=migration.name,
        checksum=migration.checksum,
    )
    log.info("migrate.applied", number=migration.number, name=migration.name)


def _is_done(server: ClickHouse, statement: str) -> bool:
    """Whether the statement says of itself that it need not be run again."""
    found = _UNLESS.search(statement)
    if found is None:
        return False
    answer = server.rows(found["query"])
    return bool(answer and answer[0][0])


def _check(done: dict[int, str], migrations: Sequence[Migration]) -> None:
    known = {m.number: m for m in migrations}
    for number, checksum in sorted(done.items()):
        migration = known.get(number)
        if migration is None:
            raise StateError(
                f"the database has migration {number}, which this release does not know",
                hint="It was written by a later release of Sluice: run that one.",
            )
        if migration.checksum != checksum:
            raise StateError(
                f"migration {number} ({migration.name}) was applied with another text",
                hint="Applied migrations never change: restore the file and add a new one.",
            )


def _has_code(statement: str) -> bool:
    return any(line.strip() and not line.strip().startswith("--") for line in statement.splitlines())
