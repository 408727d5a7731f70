"""What is in ClickHouse, and what Kafka knows of it, in a folder; and back.

    manifest.json            what the backup is of, and every file with its rows and checksum
    TABLE/NNNNNN.native.gz   rows of a table, in ClickHouse's format Native
    control.jsonl            the entries of the control topic

A backup can be made while everything runs. Rows are taken up to the offsets that the sinks had committed when it
began, so of every topic it holds exactly the records before those. Rollups are not in it, but where their base rows are
gone: they come from the base, by their views, when it is restored. So after a restore a sink that begins at the offsets
of the backup goes on without a gap and without a repeat.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from confluent_kafka import Consumer, TopicPartition

from core import control, kafka
from core.errors import InputError, InvariantError, StateError, UnavailableError
from core.settings import Settings
from core.topics import Topics
from sinks import migrate, offsets
from sinks.clickhouse import ClickHouse, Parameter
from sinks.recount import differences
from sinks.rollups import discover
from sinks.source import identities
from sinks.tables import Table, filled
from sinks.writer import INSERT_SETTINGS

_FORMAT = 1
_MANIFEST = "manifest.json"
_CONTROL = "control.jsonl"
# Rows of one file: it is held in memory, here and at the server.
_ROWS = 100_000
# Made by migrations, or scratch of plans that can be made again.
_LEFT_OUT = ("migrations", "view_migrations", "replaced_rows")
_TABLES = (
    "SELECT name FROM system.tables WHERE database = currentDatabase() AND endsWith(engine, 'MergeTree') ORDER BY name"
)

OnStep = Callable[[str], None]


class File(msgspec.Struct, frozen=True):
    path: str
    table: str
    rows: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """`topics`: id of each topic, `offsets`: the next record of each partition that is not in the backup."""

    format: int
    at: str
    cluster_id: str
    topics: dict[str, str]
    offsets: dict[str, dict[int, int]]
    migrations: list[int]
    columns: dict[str, list[str]]
    files: list[File]

    def rows(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for file in self.files:
            found[file.table] = found.get(file.table, 0) + file.rows
        return found


@dataclass(frozen=True, slots=True)
class Restored:
    """`rewound`: whether the sinks go on from the offsets of the backup; if not, `why`."""

    rows: Mapping[str, int]
    rewound: bool
    why: str = ""


def backup(settings: Settings, folder: Path, *, on_step: OnStep = lambda _: None) -> Manifest:
    """Write a backup into `folder`, which must be new or empty.

    Raises:
        StateError: the folder holds something.
        UnavailableError: Kafka or ClickHouse does not answer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise StateError(f"{folder} is not empty", hint="A backup wants a folder of its own.")
    server = ClickHouse(settings)
    tables = filled(Topics.named(settings.topic_prefix))
    sources = identities(settings, [*tables])
    # Before any row is read: what is stored later is left out.
    began, done = offsets.beginnings(settings), offsets.committed(settings)
    # A partition that nothing was stored of yet is begun with after a restore, too.
    taken = {topic: partitions | done.get(topic, {}) for topic, partitions in began.items()}
    writer = _Writer(server, folder, on_step)
    targets = {each.target.rpartition(".")[2].strip("`") for each in discover(server)}
    names = [name for (name,) in server.rows(_TABLES) if name not in _LEFT_OUT and not name.startswith("replay_rows_")]
    bases = {table.name for table in tables.values()}
    # What says which generations are visible comes before the rows: a generation that is shown later is not looked for.
    for name in names:
        if name not in bases and name not in targets:
            writer.whole(name)
    for topic, table in tables.items():
        writer.base(table, taken.get(topic, {}))
    for name in sorted(targets):
        writer.left_over(name)
    on_step("control topic")
    (folder / _CONTROL).write_bytes(b"".join(_control_lines(settings)))
    manifest = Manifest(
        _FORMAT,
        datetime.now(UTC).isoformat(timespec="seconds"),
        next(iter(sources.values())).cluster_id,
        {topic: source.topic_id for topic, source in sources.items()},
        taken,
        sorted(migrate.applied(server)),
        writer.columns,
        writer.files,
    )
    # Last: a folder without it is no backup.
    (folder / _MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    return manifest


def read(folder: Path) -> Manifest:
    """The manifest of a backup, all of whose files are as they were written.

    Raises:
        InputError: the folder is no backup, or a file is missing or damaged.
    """
    try:
        manifest = msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise InputError(f"{folder} is no backup: it has no {_MANIFEST}", hint="Was it interrupted?") from None
    except msgspec.MsgspecError as error:
        raise InputError(f"{folder / _MANIFEST} is damaged: {error}") from error
    if manifest.format != _FORMAT:
        raise InputError(f"{folder} has format {manifest.format}: another release wrote it")
    for file in manifest.files:
        path = folder / file.path
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != file.sha256:
            raise InputError(f"{path} is missing or damaged")
    return manifest


def restore(settings: Settings, folder: Path, *, on_step: OnStep = lambda _: None) -> Restored:
    """Fill an empty database from a backup, verify it, and let the sinks go on from its offsets.

    Raises:
        InputError: no backup, or a damaged one.
        StateError: the database holds rows already, or lacks a table of the backup.
        InvariantError: what was restored is not what was saved.
        UnavailableError: Kafka or ClickHouse does not answer.
    """
    manifest = read(folder)
    migrate.apply(settings)
    server = ClickHouse(settings)
    _require_empty(server, manifest)
    for file in manifest.files:
        on_step(file.path)
        columns = ", ".join(f"`{name}`" for name in manifest.columns[file.table])
        body = gzip.decompress((folder / file.path).read_bytes())
        server.insert(
            f"INSERT INTO {file.table} ({columns}) FORMAT Native",
            body,
            settings=INSERT_SETTINGS | {"insert_deduplication_token": f"restore:{manifest.at}:{file.path}"},
        )
    on_step("verifying")
    _verify(server, manifest)
    why = _rewind(settings, manifest)
    if not why:
        _restore_control(settings, folder)
    return Restored(manifest.rows(), not why, why)


# -- writing


class _Writer:
    def __init__(self, server: ClickHouse, folder: Path, on_step: OnStep) -> None:
        self._server = server
        self._folder = folder
        self._on_step = on_step
        self.files: list[File] = []
        self.columns: dict[str, list[str]] = {}

    def whole(self, table: str) -> None:
        """All rows of a small table."""
        self._write(table, "1", {})

    def left_over(self, table: str) -> None:
        """Rows of a rollup whose base rows are gone."""
        gone = "(arrival_day, generation) NOT IN (SELECT DISTINCT arrival_day, generation FROM events_log)"
        for day, generation in self._server.rows(
            f"SELECT DISTINCT arrival_day, generation FROM {table} WHERE {gone} ORDER BY 1, 2"  # noqa: S608
        ):
            self._write(table, f"arrival_day = '{day}' AND generation = {generation}", {})

    def base(self, table: Table, taken: Mapping[int, int]) -> None:
        """Rows of records before the offsets `taken`, in files of one day and one partition."""
        taken_of = f"transform({table.partition_column}, {{ps:Array(UInt32)}}, {{os:Array(UInt64)}}, 0)"
        before = f"{table.offset_column} < {taken_of}"
        where = f"{table.only or '1'} AND ({before}{' OR run != {nobody:String}' if table.is_restated else ''})"
        bound: dict[str, Parameter] = {"ps": [*taken], "os": [*taken.values()], "nobody": ""}
        # Restated rows stand in no topic: what tells rows apart is the raw record.
        at = ("raw_partition", "raw_offset") if table.is_restated else (table.partition_column, table.offset_column)
        ranges = self._server.rows(
            f"SELECT arrival_day, generation, {at[0]}, intDiv({at[1]}, {_ROWS}) AS range FROM {table.name} "  # noqa: S608
            f"WHERE {where} GROUP BY ALL ORDER BY ALL",
            **bound,
        )
        for day, generation, partition, number in ranges:
            own = f"arrival_day = '{day}' AND generation = {generation} AND {at[0]} = {partition}"
            self._write(
                table.name,
                f"{where} AND {own} AND {at[1]} BETWEEN {number * _ROWS} AND {number * _ROWS + _ROWS - 1}",
                bound,
            )

    def _write(self, table: str, where: str, bound: Mapping[str, Parameter]) -> None:
        """Names and conditions are ours, or numbers and days that the server gave."""
        if table not in self.columns:
            self.columns[table] = _columns(self._server, table)
        selected = ", ".join(f"`{name}`" for name in self.columns[table])
        rows = self._server.scalar(f"SELECT count() FROM {table} WHERE {where}", **bound)  # noqa: S608
        if not rows:
            return
        data = self._server.fetch(f"SELECT {selected} FROM {table} WHERE {where}", form="Native", **bound)  # noqa: S608
        path = self._folder / table / f"{len(self.files):06}.native.gz"
        path.parent.mkdir(exist_ok=True)
        packed = gzip.compress(data, 1, mtime=0)
        path.write_bytes(packed)
        name = str(path.relative_to(self._folder))
        self.files.append(File(name, table, rows, hashlib.sha256(packed).hexdigest()))
        self._on_step(f"{name} ({rows:,} rows)")


def _columns(server: ClickHouse, table: str) -> list[str]:
    found = server.rows(
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String} "
        "AND default_kind NOT IN ('ALIAS', 'MATERIALIZED') ORDER BY position",
        table=table,
    )
    return [name for (name,) in found]


def _control_lines(settings: Settings) -> Iterator[bytes]:
    """The newest value of each key, a line each, base64."""
    newest: dict[bytes, bytes] = {}
    reader = Consumer(kafka.reader(settings, name="backup"))
    reader.assign([TopicPartition(Topics.named(settings.topic_prefix).control, 0, 0)])
    try:
        for message in kafka.read_to_end(reader, partitions=1):
            if message.value() is None:
                newest.pop(message.key(), None)
            else:
                newest[message.key()] = message.value()
    finally:
        reader.close()
    for key, value in newest.items():
        line = {"key": base64.b64encode(key).decode(), "value": base64.b64encode(value).decode()}
        yield msgspec.json.encode(line) + b"\n"


# -- reading


def _require_empty(server: ClickHouse, manifest: Manifest) -> None:
    there = {name for (name,) in server.rows(_TABLES)}
    for table in sorted(manifest.columns):
        if table not in there:
            raise StateError(
                f"the backup has rows of {table}, which this release does not make",
                hint="It was made by another release: restore with that one.",
            )
        if server.scalar(f"SELECT count() FROM {table}"):  # noqa: S608 (a name that the server has)
            raise StateError(
                f"{server.database}.{table} holds rows already",
                hint="A backup goes into an empty database: set SLUICE_CLICKHOUSE_DATABASE, or drop that one.",
            )


def _verify(server: ClickHouse, manifest: Manifest) -> None:
    for table, due in manifest.rows().items():
        have = server.scalar(f"SELECT count() FROM {table}")  # noqa: S608 (a name that the server has)
        if table in {each.target.rpartition(".")[2].strip("`") for each in discover(server)}:
            continue
        if have != due:
            raise InvariantError(f"{table} has {have} rows after the restore, the backup {due}")
    days = server.rows("SELECT DISTINCT arrival_day, generation FROM events_log ORDER BY 1, 2")
    for day, generation in days:
        for difference in differences(server, day, generation):
            raise InvariantError(f"after the restore a rollup differs from a recount: {difference}")


def _rewind(settings: Settings, manifest: Manifest) -> str:
    """Let the sinks go on from the backup's offsets; empty, or why that cannot be."""
    try:
        now = identities(settings, [*manifest.topics])
    except UnavailableError as error:
        return f"Kafka was not asked: {error.message}"
    other = [
        topic
        for topic, topic_id in manifest.topics.items()
        if (now[topic].cluster_id, now[topic].topic_id) != (manifest.cluster_id, topic_id)
    ]
    if other:
        return (
            f"Kafka has other topics of these names than the backup ({', '.join(sorted(other))}): their offsets mean "
            "other records. What was restored can be read. New events need a database of their own "
            "(SLUICE_CLICKHOUSE_DATABASE); a sink refuses to mix them"
        )
    offsets.rewind(settings, manifest.offsets)
    return ""


def _restore_control(settings: Settings, folder: Path) -> None:
    """Entries that the topic does not have. What it has is newer."""
    have = {msgspec.json.decode(line)["key"] for line in _control_lines(settings)}
    lines = [msgspec.json.decode(line) for line in (folder / _CONTROL).read_bytes().splitlines()]
    missing = {
        base64.b64decode(line["key"]).decode(): base64.b64decode(line["value"])
        for line in lines
        if line["key"] not in have
    }
    if missing:
        control.put(settings, missing)
