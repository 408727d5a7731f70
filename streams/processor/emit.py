"""What a processor gives back, and how it becomes bytes."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import fastavro
import msgspec

from core.errors import ConfigError
from core.topics import MAX_MESSAGE_BYTES
from schemas import framing
from schemas.registry import Registry, Schema
from streams.processor.event import Event

# What Kafka adds to a record counts towards the topic's limit.
_MAX_VALUE_BYTES = MAX_MESSAGE_BYTES - 64 * 1024

EncodeValue = Callable[[Any], bytes]


@dataclass(frozen=True, slots=True)
class Output:
    """A topic of a processor's own; the topic prefix is put before its name.

    With `schema` (`subject` or `subject:version`, the newest if none is named) values are dicts and become Avro in
    Confluent framing. Without, bytes are written as they are and everything else as JSON.
    """

    name: str
    schema: str = ""


@dataclass(frozen=True, slots=True)
class Emit:
    """One record to write, made from `event`: it goes to the partition that the event came from, with its arrival time.

    Without a `key` it has the event's. `to` names one of several outputs; without, it is the first.
    """

    event: Event[Any]
    value: Any
    key: bytes | str | None = None
    to: str = ""

    def key_bytes(self) -> bytes | None:
        if self.key is None:
            return self.event.key
        return self.key.encode() if isinstance(self.key, str) else self.key


def encoder(output: Output, registry: Registry) -> EncodeValue:
    """How values of `output` become bytes; ValueError, TypeError and the like say that one cannot.

    Raises:
        ConfigError: the registry has no such schema.
    """
    encode = _avro(_schema(output.schema, registry)) if output.schema else _plain

    def encode_bounded(value: Any) -> bytes:
        data = encode(value)
        if len(data) > _MAX_VALUE_BYTES:
            raise ValueError(f"a value of {len(data)} bytes is more than the {_MAX_VALUE_BYTES} that a topic takes")
        return data

    return encode_bounded


def _plain(value: Any) -> bytes:
    return value if isinstance(value, bytes) else msgspec.json.encode(value)


def _avro(schema: Schema) -> EncodeValue:
    frame = framing.prefix(schema.id)

    def encode(value: Any) -> bytes:
        if not isinstance(value, Mapping):
            raise TypeError(f"a value of {schema.label} must be a dict, not {type(value).__name__}")
        out = io.BytesIO(frame)
        out.seek(len(frame))
        # Strict: a misspelt field would otherwise be left out in silence.
        fastavro.schemaless_writer(out, schema.parsed, value, strict_allow_default=True)
        return out.getvalue()

    return encode


def _schema(name: str, registry: Registry) -> Schema:
    subject, _, version = name.partition(":")
    versions = registry.versions(subject)
    if not versions:
        raise ConfigError(
            f"there is no schema {subject}",
            hint=f"`sluice schemas list` shows those of {registry.folder}. It must be released.",
        )
    wanted = int(version) if version.isdecimal() else 0 if version else versions[-1]
    found = registry.find(subject, wanted)
    if found is None:
        raise ConfigError(f"there is no {name}", hint=f"Versions of {subject}: {', '.join(map(str, versions))}.")
    return found
