"""Confluent wire format: which schema the Avro bytes of a record were written with.

Written: magic byte 0 and the 4-byte big-endian schema id. Read: that, and magic byte 1 with a 16-byte schema GUID
(Confluent Platform 8's second form).

Ids and GUIDs are those of `lock.json`. A process whose topics use an external registry learns what that one calls our
schemas (`schemas.external`) and says so here, before it encodes or decodes anything. Ids of the lock are read all the
same: a topic keeps what was written before the registry came.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial

from core.errors import ConfigError, InputError, InvariantError
from schemas.registry import Schema, bundled

ID_PREFIX_BYTES = 5
GUID_PREFIX_BYTES = 17


class FramingError(InputError):
    code = "bad_framing"


@dataclass(frozen=True, slots=True)
class Name:
    """What a registry calls a schema. A registry older than the second form gives no GUID."""

    id: int
    guid: uuid.UUID | None = None


# Our id of a schema → what an external registry called it over time. The last one is written, all are read.
Names = Mapping[int, Sequence[Name]]


@dataclass(slots=True)
class _Process:
    """What holds for the whole process. `asked` says that a prefix was given out, and is compiled into an encoder."""

    names: Names = field(default_factory=dict)
    asked: bool = False


_process = _Process()


def use(names: Names) -> None:
    """Name schemas on the wire as an external registry does, from the start of the process.

    Raises:
        ConfigError: one id would stand for two versions of a subject.
        InvariantError: something was encoded or decoded before.
    """
    if names == _process.names:
        return
    if _process.asked:
        raise InvariantError("schemas were named on the wire before the external registry was asked")
    _process.names = names
    for subject in bundled().subjects("record"):
        frames(subject)


def prefix(schema_id: int) -> bytes:
    """What stands before the Avro body of a record written with the schema that `lock.json` gives this id."""
    _process.asked = True
    names = _process.names.get(schema_id)
    return _id_prefix(names[-1].id if names else schema_id)


@cache
def frames(subject: str) -> Mapping[bytes, Schema]:
    """All that may stand before the Avro body of a record of `subject`, one of our own, and the version it means.

    Raises:
        ConfigError: one id would stand for two versions.
    """
    _process.asked = True
    found: dict[bytes, Schema] = {}
    for schema in map(partial(bundled().get, subject), bundled().versions(subject)):
        for name in (Name(schema.id, schema.guid), *_process.names.get(schema.id, ())):
            for frame in _frames_of(name):
                other = found.setdefault(frame, schema)
                if other is not schema:
                    raise ConfigError(
                        f"id {name.id} is {schema.label} in one registry and {other.label} in the other",
                        hint="Topics may hold both. Register our schemas anew there, or begin with empty topics.",
                    )
    return found


def opened(value: bytes, subject: str) -> tuple[Schema, int]:
    """`(version of the subject, position of the Avro body)` of a framed record of `subject`, one of our own.

    Raises:
        FramingError: empty, truncated or unknown magic byte.
        InputError: written with a schema that is no version of `subject` in this release.
    """
    at = body_at(value)
    schema = frames(subject).get(value[:at])
    if schema is None:
        name, _ = split(value)
        raise InputError(f"written with schema {name}, which is no {subject} of this release")
    return schema, at


def body_at(value: bytes) -> int:
    """Where the Avro body of a framed value begins. Of one that is not framed, anything."""
    return GUID_PREFIX_BYTES if value[:1] == b"\x01" else ID_PREFIX_BYTES


def split(value: bytes) -> tuple[int | uuid.UUID, int]:
    """`(schema id or GUID, position of the Avro body)` of a framed value.

    Raises:
        FramingError: empty, truncated or unknown magic byte.
    """
    magic = value[:1]
    if magic == b"\0" and len(value) >= ID_PREFIX_BYTES:
        return int.from_bytes(value[1:ID_PREFIX_BYTES], "big"), ID_PREFIX_BYTES
    if magic == b"\x01" and len(value) >= GUID_PREFIX_BYTES:
        return uuid.UUID(bytes=value[1:GUID_PREFIX_BYTES]), GUID_PREFIX_BYTES
    raise FramingError(f"not in Confluent wire format: {len(value)} bytes starting with {magic.hex() or 'nothing'}")


def _id_prefix(schema_id: int) -> bytes:
    return b"\0" + struct.pack(">I", schema_id)


def _frames_of(name: Name) -> list[bytes]:
    return [_id_prefix(name.id), *([b"\x01" + name.guid.bytes] if name.guid else [])]
