"""Brings a backup back into an empty database, verifies it, and lets the sinks go on from its offsets."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.errors import InvariantError, StateError, UnavailableError
from core.settings import Settings
from core.topics import Topics
from sinks import migrate, offsets
from sinks.backup import control_entries
from sinks.backup.manifest import CONTROL, LEFT_OUT, TABLES, Manifest, content_of, quoted, read
from sinks.backup.writing import OnStep
from sinks.clickhouse import ClickHouse, UncertainError
from sinks.recount import differences
from sinks.rollups import discover
from sinks.source import identities
from sinks.writer import INSERT_SETTINGS

_TRIES = 3


@dataclass(frozen=True, slots=True)
class Restored:
    """`control` entries were brought back. `trouble` is why the sinks cannot go on from the backup's offsets; None if
    they do.
    """

    rows: Mapping[str, int]
    control: int
    trouble: StateError | UnavailableError | None = None


def restore(settings: Settings, folder: Path, *, on_step: OnStep = lambda _: None) -> Restored:
    """Fill an empty database from a backup, verify it, and let the sinks go on from its offsets.

    Raises:
        InputError: no backup, or a damaged one.
        StateError: a sink runs, the database holds rows already, or a later release made the backup.
        InvariantError: what was restored is not what was saved.
        UnavailableError: ClickHouse does not answer.
    """
    manifest = read(folder)
    away = _require_idle(settings)
    migrate.apply(settings)
    server = ClickHouse(settings)
    _require_fit(server, manifest)
    for file in manifest.files:
        on_step(file.path)
        columns = quoted(manifest.columns[file.table])
        _insert(
            server,
            f"INSERT INTO {file.table} ({columns}) FORMAT Native",
            gzip.decompress((folder / file.path).read_bytes()),
            token=f"restore:{manifest.at}:{file.path}",
        )
    on_step("verifying")
    _verify(server, manifest)
    if away is not None:
        return Restored(manifest.rows(), 0, away)
    on_step("control topic")
    try:
        entries = _restore_control(settings, folder, manifest)
    except UnavailableError as error:
        return Restored(manifest.rows(), 0, error)
    try:
        _require_same_topics(settings, manifest)
        offsets.rewind(settings, manifest.offsets)
    except (StateError, UnavailableError) as error:
        return Restored(manifest.rows(), entries, error)
    return Restored(manifest.rows(), entries)


def _require_idle(settings: Settings) -> UnavailableError | None:
    """What is wrong with Kafka, which a database can be filled without."""
    try:
        offsets.require_idle(settings)
    except UnavailableError as error:
        return error
    return None


def _require_fit(server: ClickHouse, manifest: Manifest) -> None:
    if later := sorted({*manifest.migrations} - migrate.applied(server).keys()):
        raise StateError(
            f"the backup is of a database with the migrations {later}, which this release does not have",
            hint="A later release made it: restore with that one.",
        )
    for (table,) in server.rows(TABLES, left_out=LEFT_OUT):
        if server.scalar(f"SELECT count() FROM {table}"):  # noqa: S608 (a name that the server has)
            raise StateError(
                f"{server.database}.{table} holds rows already",
                hint="A backup goes into an empty database: set SLUICE_CLICKHOUSE_DATABASE, or drop that one.",
            )


def _insert(server: ClickHouse, statement: str, body: bytes, *, token: str) -> None:
    for left in range(_TRIES, 0, -1):
        try:
            server.insert(statement, body, settings=INSERT_SETTINGS | {"insert_deduplication_token": token})
        except UncertainError:
            if left == 1:
                raise
            continue
        return


def _verify(server: ClickHouse, manifest: Manifest) -> None:
    targets = {each.target.rpartition(".")[2].strip("`") for each in discover(server)}
    content = manifest.content()
    for table, due in manifest.rows().items():
        if table in targets:  # states merge, and the others come from the base, which is compared below
            continue
        have, hashes = server.rows(f"SELECT count(), {content_of(manifest.columns[table])} FROM {table}")[0]  # noqa: S608
        if have != due or int(hashes) != content[table]:
            raise InvariantError(
                f"{table} has {have} rows after the restore, the backup {due}"
                + (", and they are others" if have == due else "")
            )
    for day, generation in server.rows("SELECT DISTINCT toString(arrival_day), generation FROM events_log"):
        for difference in differences(server, day, generation):
            raise InvariantError(f"after the restore a rollup differs from a recount: {difference}")


def _restore_control(settings: Settings, folder: Path, manifest: Manifest) -> int:
    """How many entries were brought back. The topic that the backup was made of has all of them, or newer ones."""
    control = Topics.named(settings.topic_prefix).control
    now = identities(settings, [control])[control]
    if (now.cluster_id, now.topic_id) == (manifest.cluster_id, manifest.control_topic):
        return 0
    return control_entries.restore(settings, (folder / CONTROL).read_bytes())


def _require_same_topics(settings: Settings, manifest: Manifest) -> None:
    now = identities(settings, [*manifest.topics])
    other = [
        topic
        for topic, topic_id in manifest.topics.items()
        if (now[topic].cluster_id, now[topic].topic_id) != (manifest.cluster_id, topic_id)
    ]
    if other:
        raise StateError(
            f"Kafka has other topics of these names than the backup ({', '.join(sorted(other))}): their offsets mean "
            "other records",
            hint="What was restored can be read. New events need a database of their own (SLUICE_CLICKHOUSE_DATABASE): "
            "a sink does not mix them.",
        )
