"""Records of one of our Avro topics → the body of one insert: an Avro object container (Avro 1.12, "Object Container
Files").

The records' Avro bytes are passed through; only the framing is cut off, and behind comes what the record does not say
itself: the generation, where it stood in its topic and, for some, when its raw record arrived. A record of an older
version of the subject (on the topic already when this release came) gets the defaults of the fields it lacks: newer
versions only append fields, so that is a record of the newest.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import fastavro
import msgspec

from core.errors import ConfigError, InputError, SluiceError, StateError
from schemas import framing
from schemas.codegen.varints import for_bytes, varint
from schemas.framing import ID_PREFIX_BYTES, FramingError
from schemas.registry import Schema, bundled
from sinks.row import Row

# A constant is as good as a random one here: the reader only checks that blocks end with it.
_SYNC = b"sluice-block-end"
# Records in one container block; the reader holds a container block in memory at once.
_BLOCK_RECORDS = 10_000
_GENERATION = {"name": "generation", "type": "long"}
_RUN = {"name": "run", "type": "string"}
_PARTITION = {"name": "kafka_partition", "type": "int"}
_OFFSET = {"name": "kafka_offset", "type": "long"}
_ARRIVAL = {"name": "arrival_at", "type": {"type": "long", "logicalType": "timestamp-millis"}}


class UnreadableError(InputError):
    """A record that is no Avro record of the topic's subject."""

    code = "unreadable"


class Container:
    """Makes containers of the records of `subject`, one of our own.

    With `arrival`, the record's timestamp becomes the column `arrival_at`. `without` are fields that are no columns.
    """

    def __init__(self, subject: str, *, arrival: bool = False, without: frozenset[str] = frozenset()) -> None:
        self._subject = subject
        self._arrival = arrival
        versions = [bundled().get(subject, version) for version in bundled().versions(subject)]
        newest = versions[-1].source
        self._suffix_of = {schema.version: suffix(schema, versions[-1]) for schema in versions}
        self._pieces = for_bytes()
        live = [*newest["fields"], *([_ARRIVAL] if arrival else []), _GENERATION, _PARTITION, _OFFSET]
        self._live = _header(newest | {"fields": live})
        self.columns = tuple(field["name"] for field in live if field["name"] not in without)
        restated = [*newest["fields"], _GENERATION, _RUN]
        self._restated = _header(newest | {"fields": restated})
        self.restated_columns = tuple(field["name"] for field in restated)

    def __call__(self, partition: int, rows: Sequence[Row], generation: int) -> bytes:
        """Container of `rows` of one partition of the topic, for the columns `columns`.

        Raises:
            UnreadableError: a record is not framed, or of another subject.
            StateError: a record was written with a schema that this release does not know.
        """
        more = varint(generation) + varint(partition)
        # Of an offset the low 13 bits are looked up, and the rest, which thousands of neighbours share.
        low, high = self._pieces["LOW"], self._pieces["HIGH"]
        after = self._suffixes(b"" if self._arrival else more)

        def pieces(block: Sequence[Row]) -> list[bytes]:
            if self._arrival:
                return [
                    _rest(r)
                    + after[_frame(r)]
                    + varint(r.arrival_ms)
                    + more
                    + low[r.offset & 8191]
                    + high[r.offset >> 13]
                    for r in block
                ]
            if (frame := _usual_frame(block)) is not None:
                behind = after[frame]
                return [
                    value[ID_PREFIX_BYTES:] + behind + low[offset & 8191] + high[offset >> 13]  # type: ignore[index]
                    for offset, _, value, _ in block
                ]
            return [_rest(r) + after[_frame(r)] + low[r.offset & 8191] + high[r.offset >> 13] for r in block]

        return self._container(self._live, rows, pieces)

    def restated(self, rows: Sequence[Row], *, generation: int, run: str) -> bytes:
        """Container of `rows` that `run` restates, for the columns `restated_columns`. They stand in no topic.

        Raises:
            UnreadableError, StateError: as above.
        """
        name = run.encode()
        after = self._suffixes(varint(generation) + varint(len(name)) + name)
        return self._container(self._restated, rows, lambda block: [_rest(r) + after[_frame(r)] for r in block])

    def _suffixes(self, more: bytes) -> dict[bytes, bytes]:
        """What comes behind a record, by the frame before it."""
        frames = framing.frames(self._subject)
        return {frame: self._suffix_of[schema.version] + more for frame, schema in frames.items()}

    def _container(self, header: bytes, rows: Sequence[Row], pieces: Callable[[Sequence[Row]], list[bytes]]) -> bytes:
        parts = [header]
        for start in range(0, len(rows), _BLOCK_RECORDS):
            block = rows[start : start + _BLOCK_RECORDS]
            try:
                body = b"".join(pieces(block))
            except KeyError:
                raise self._strange(block) from None
            parts += [varint(len(block)), varint(len(body)), body, _SYNC]
        return b"".join(parts)

    def _strange(self, rows: Sequence[Row]) -> SluiceError:
        frames = framing.frames(self._subject)
        strange = next(row for row in rows if _frame(row) not in frames)
        try:
            name, _ = framing.split(strange.value or b"")
        except FramingError as error:
            return UnreadableError(f"the record at offset {strange.offset} is no {self._subject}: {error.message}")
        if any(_frame(strange) in framing.frames(subject) for subject in bundled().subjects("record")):
            return UnreadableError(f"the record at offset {strange.offset} is no {self._subject}: its schema is {name}")
        return StateError(
            f"the record at offset {strange.offset} was written with schema {name}, which this release does not know",
            hint=f"A later release writes {self._subject} records: run its sinks before its stream workers.",
        )


def suffix(old: Schema, new: Schema) -> bytes:
    """What makes the Avro body of a record of `old` one of `new`: the defaults of the fields that `new` appends.

    Raises:
        ConfigError: `new` does more than append fields with defaults.
    """
    before, after = old.source["fields"], new.source["fields"]
    appended = after[len(before) :]
    kept = [_form(field) for field in before] == [_form(field) for field in after[: len(before)]]
    if not kept or not all("default" in field for field in appended):
        raise ConfigError(f"{new.path}: {new.label} must be {old.label} with fields appended that have defaults")
    parsed = fastavro.parse_schema({"type": "record", "name": "Appended", "fields": appended}, named_schemas={})
    out = io.BytesIO()
    fastavro.schemaless_writer(out, parsed, {})
    return out.getvalue()


def _form(field: dict[str, Any]) -> tuple[str, Any]:
    return field["name"], field["type"]


def _header(source: dict[str, Any]) -> bytes:
    entries = ((b"avro.schema", msgspec.json.encode(source)), (b"avro.codec", b"null"))
    body = b"".join(varint(len(k)) + k + varint(len(v)) + v for k, v in entries)
    return b"Obj\x01" + varint(len(entries)) + body + varint(0) + _SYNC


def _usual_frame(rows: Sequence[Row]) -> bytes | None:
    """What stands before the Avro body of all `rows`, where that is one schema id."""
    frames = {(row.value or b"")[:ID_PREFIX_BYTES] for row in rows}
    frame = frames.pop()
    return frame if not frames and frame[:1] == b"\0" else None


def _frame(row: Row) -> bytes:
    value = row.value or b""
    return value[: framing.body_at(value)]


def _rest(row: Row) -> bytes:
    value = row.value or b""
    return value[framing.body_at(value) :]
