"""An event as a processor gets it, read from a record of the curated topic."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import Any, Generic, TypeVar, cast

import fastavro
import msgspec

from core.errors import InputError
from schemas import framing
from schemas.codegen.encoder import varint

P = TypeVar("P")
Document = dict[str, Any]

_EPOCH = datetime.fromtimestamp(0, UTC)


class Event(msgspec.Struct, Generic[P], frozen=True, kw_only=True, dict=True):
    """A valid, first-seen event. `P` is what its properties are read into; of a bare `Event`, a dict.

    `partition` and `offset` are its place on the source topic, `raw_partition` and `raw_offset` that of the raw
    record. `traceparent` is the W3C trace context of the request that brought it, empty without one. `fields` has
    every field of the record by name, also those that a newer release adds. `version` is the contract's that it was
    judged by, `stable_version` the one whose shape its properties have.

    Times are UTC. `properties`, `context` and `extra` (properties that the contract does not declare) are decoded
    when they are first asked for, and raise msgspec.DecodeError where the text is not of the type.
    """

    tenant: str = ""
    event: str = ""
    version: int = 0
    stable_version: int = 0
    event_type: str = ""
    name: str = ""
    event_id: str = ""
    visitor_id: str = ""
    session_id: str = ""
    user_id: str = ""
    url: str = ""
    referrer: str = ""
    consent_state: str = ""
    source: str = ""
    occurred_at: datetime = _EPOCH
    received_at: datetime = _EPOCH
    arrival_at: datetime = _EPOCH
    raw_partition: int = 0
    raw_offset: int = 0
    partition: int = 0
    offset: int = 0
    key: bytes | None = None
    traceparent: str = ""
    properties_json: str = "{}"
    context_json: str = "{}"
    extra_json: str = ""
    properties_type: Any = Document
    fields: dict[str, Any] = {}

    @cached_property
    def properties(self) -> P:
        properties: P = _decoder(self.properties_type)(self.properties_json)
        return properties

    @cached_property
    def context(self) -> Document:
        context: Document = _decoder(Document)(self.context_json or "{}")
        return context

    @cached_property
    def extra(self) -> Document:
        extra: Document = _decoder(Document)(self.extra_json or "{}")
        return extra


# Fields of the record that an Event has by the same name; the three JSON texts have names of their own.
_JSON = {"properties": "properties_json", "context": "context_json", "extra": "extra_json"}
_SAME = frozenset(Event.__struct_fields__) - {
    "partition",
    "offset",
    "key",
    "traceparent",
    "fields",
    "properties_type",
    *_JSON,
}


@cache
def _decoder(type_: Any) -> Callable[[str], Any]:
    return msgspec.json.Decoder(type_).decode


class Reader:
    """Reads records of one topic into events of one contract (of all, if `contract` is empty)."""

    def __init__(self, contract: str, *, properties_type: Any = Document) -> None:
        name = contract.encode()
        self._contract = contract
        self._properties_type = properties_type
        # The contract's name as Avro writes it. A record without these bytes is another contract's: that is told
        # in a tenth of a microsecond, reading it takes several.
        self._needle = varint(len(name)) + name if name else b""

    def read(
        self, partition: int, offset: int, key: bytes | None, value: bytes, traceparent: str = ""
    ) -> Event[Any] | None:
        """The event of a record; None if it is another contract's.

        Raises:
            InputError: no record of a curated event, truncated, or with a time that no calendar has.
        """
        schema, at = framing.opened(value, "event")
        if self._needle not in value:
            return None
        try:
            row = cast(Document, fastavro.schemaless_reader(io.BytesIO(value[at:]), schema.parsed))
        except (EOFError, LookupError, ValueError, OverflowError) as error:
            raise InputError("the record of the event is truncated or corrupt") from error
        if self._contract and row["event"] != self._contract:
            return None
        return Event(
            **{name: each for name, each in row.items() if name in _SAME},
            **{ours: row[name] for name, ours in _JSON.items() if name in row},
            partition=partition,
            offset=offset,
            key=key,
            traceparent=traceparent,
            properties_type=self._properties_type,
            fields=row,
        )
