"""The value of a raw record: written by the collector, sliced by the streams (schema `raw_envelope`).

`encode` is generated from the schema. `decode` is written by hand for speed and held equal to fastavro's reader by a
property test.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from core.errors import InputError
from schemas import framing
from schemas.codegen.encoder import Encode, compile_encoder
from schemas.registry import bundled

_SUBJECT = "raw_envelope"
# Bits that the later bytes of a long start at. Avro's long has 64 bits: without the bound, a corrupt record would be
# read into an integer as long as itself.
_LATER_BITS = range(7, 64, 7)


@cache
def _encoder() -> Encode:
    # Not before the process knows what an external registry calls the schema.
    return compile_encoder(bundled().get(_SUBJECT, 1)).encode


@cache
def _usual_prefix() -> bytes:
    return framing.prefix(bundled().get(_SUBJECT, 1).id)


class EnvelopeError(InputError):
    code = "bad_envelope"


class Envelope(NamedTuple):
    event: str
    version: int
    tenant: str
    key_id: str
    source: str
    historical: bool
    received_at_ms: int
    traceparent: str
    payload: bytes


def encode(  # noqa: PLR0913 (the schema's fields)
    *,
    received_at_ms: int,
    tenant: str,
    key_id: str,
    source: str,
    historical: bool,
    event: str,
    version: int,
    traceparent: str,
    payload: bytes,
) -> bytes:
    """Framed Avro bytes of one envelope."""
    return _encoder()(event, version, tenant, key_id, source, historical, received_at_ms, traceparent, payload)


def decode(value: bytes) -> Envelope:
    """The envelope of a raw record's value.

    Raises:
        EnvelopeError: not framed, written with an unknown schema, truncated, or with bytes left over.
    """
    at = framing.ID_PREFIX_BYTES if value.startswith(_usual_prefix()) else _body_at(value)
    try:
        event, at = _string(value, at)
        version, at = _long(value, at)
        tenant, at = _string(value, at)
        key_id, at = _string(value, at)
        source, at = _string(value, at)
        historical = value[at] == 1
        received_at_ms, at = _long(value, at + 1)
        traceparent, at = _string(value, at)
        length, at = _long(value, at)
    except (IndexError, UnicodeDecodeError) as error:
        raise EnvelopeError("the envelope is truncated or corrupt") from error
    if length < 0 or at + length != len(value):
        raise EnvelopeError(f"the payload should have {length} bytes, {len(value) - at} follow")
    return Envelope(event, version, tenant, key_id, source, historical, received_at_ms, traceparent, value[at:])


def _long(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    at += 1
    if byte < 128:
        return (byte >> 1) ^ -(byte & 1), at
    value = byte & 127
    for shift in _LATER_BITS:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            break
    if byte > 127 or value >> 64:
        raise IndexError
    return (value >> 1) ^ -(value & 1), at


def _string(data: bytes, at: int) -> tuple[str, int]:
    length, at = _long(data, at)
    end = at + length
    if length < 0 or end > len(data):
        raise IndexError
    return data[at:end].decode(), end


def _body_at(value: bytes) -> int:
    try:
        return framing.opened(value, _SUBJECT)[1]
    except InputError as error:
        raise EnvelopeError(error.message) from error
