"""The value of a raw record: written by the collector, sliced by the streams (schema `raw_envelope`).

Version 2 puts what repeats from record to record (`Head`) in one piece behind its length: the streams look the piece
up instead of decoding it (`streams/reading.py`). Written by hand, both ways, and held equal to fastavro by property
tests. Version 1 is still read.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from core.errors import InputError
from schemas import framing
from schemas.codegen.varints import for_bytes, varint
from schemas.registry import bundled

_SUBJECT = "raw_envelope"
_WRITTEN = 2
NO_RECEIPT = bytes(16)
# Bits that the later bytes of a long start at. Avro's long has 64 bits: without the bound, a corrupt record would be
# read into an integer as long as itself.
_LATER_BITS = range(7, 64, 7)
# Clients choose what a head holds, so the memos are bounded; a full one starts anew.
_MOST_REMEMBERED = 16_384


class EnvelopeError(InputError):
    code = "bad_envelope"


class Head(NamedTuple):
    """What is the same for many records."""

    event: str
    version: int
    tenant: str
    key_id: str
    source: str
    historical: bool


class Envelope(NamedTuple):
    head: Head
    receipt_id: bytes
    received_at_ms: int
    traceparent: str
    user_agent: str
    client_ip: str
    payload: bytes


_number = for_bytes()["V"]
_written_heads: dict[tuple[str, int, str, str, str, bool], bytes] = {}


@cache
def _usual_prefix() -> bytes:
    # Not before the process knows what an external registry calls the schema.
    return framing.prefix(bundled().get(_SUBJECT, _WRITTEN).id)


def encode(
    *,
    head: Head,
    received_at_ms: int,
    payload: bytes,
    receipt_id: bytes = NO_RECEIPT,
    traceparent: str = "",
    user_agent: str = "",
    client_ip: str = "",
) -> bytes:
    """Framed Avro bytes of one envelope."""
    shared = of_request(
        received_at_ms=received_at_ms,
        receipt_id=receipt_id,
        traceparent=traceparent,
        user_agent=user_agent,
        client_ip=client_ip,
    )
    return sealed(head, shared, payload)


def of_request(
    *, received_at_ms: int, receipt_id: bytes, traceparent: str = "", user_agent: str = "", client_ip: str = ""
) -> bytes:
    """What is the same in the envelopes of one request, for `sealed`."""
    agent, trace, ip = user_agent.encode(), traceparent.encode(), client_ip.encode()
    number = _number
    return b"".join(
        (
            receipt_id,
            number[received_at_ms],
            number[len(trace)],
            trace,
            number[len(agent)],
            agent,
            number[len(ip)],
            ip,
        )
    )


def sealed(head: tuple[str, int, str, str, str, bool], shared: bytes, payload: bytes) -> bytes:
    """Framed Avro bytes of one envelope; `head` has the fields of a Head, `shared` is of `of_request`."""
    return b"".join(
        (
            _usual_prefix(),
            _written_heads.get(head) or _write_head(Head(*head)),
            shared,
            _number[len(payload)],
            payload,
        )
    )


def decode(value: bytes) -> Envelope:
    """The envelope of a raw record's value.

    Raises:
        EnvelopeError: not framed, written with an unknown schema, truncated, or with bytes left over.
    """
    try:
        return _decode_by_field(value)
    except (IndexError, UnicodeDecodeError) as error:
        raise EnvelopeError("the envelope is truncated or corrupt") from error


def beginning(value: bytes) -> bytes:
    """What `value`, one that `decode` takes, begins with, up to the end of its head. Other values that begin with the
    same bytes have the same head, and the other fields behind it. Empty if it is of another version, framed in another
    way, or has a head of more than 8,191 bytes.
    """
    if value[:5] != _usual_prefix():
        return b""
    size, at = _long(value, 5)
    return value[: at + size] if at < 8 else b""


def _write_head(head: Head) -> bytes:
    parts = []
    for each in (head.event, head.version, head.tenant, head.key_id, head.source):
        if isinstance(each, int):
            parts.append(varint(each))
        else:
            text = each.encode()
            parts += [varint(len(text)), text]
    parts.append(b"\x01" if head.historical else b"\0")
    body = b"".join(parts)
    written = varint(len(body)) + body
    if len(_written_heads) >= _MOST_REMEMBERED:
        _written_heads.clear()
    _written_heads[head] = written
    return written


def _decode_by_field(value: bytes) -> Envelope:
    try:
        schema, at = framing.opened(value, _SUBJECT)
    except InputError as error:
        raise EnvelopeError(error.message) from error
    if schema.version != _WRITTEN:
        head, at = _head(value, at)
        received_at_ms, at = _long(value, at)
        traceparent, at = _string(value, at)
        return Envelope(head, NO_RECEIPT, received_at_ms, traceparent, "", "", _payload(value, at))
    size, at = _long(value, at)
    begins = at
    head, at = _head(value, at)
    if at - begins != size:  # who looks the head up must see the same
        raise EnvelopeError(f"the envelope's head should have {size} bytes and has {at - begins}")
    receipt_id = value[at : at + 16]
    received_at_ms, at = _long(value, at + 16)
    traceparent, at = _string(value, at)
    user_agent, at = _string(value, at)
    client_ip, at = _string(value, at)
    payload = _payload(value, at)
    return Envelope(head, receipt_id, received_at_ms, traceparent, user_agent, client_ip, payload)


def _head(value: bytes, at: int) -> tuple[Head, int]:
    event, at = _string(value, at)
    version, at = _long(value, at)
    tenant, at = _string(value, at)
    key_id, at = _string(value, at)
    source, at = _string(value, at)
    return Head(event, version, tenant, key_id, source, value[at] == 1), at + 1


def _payload(value: bytes, at: int) -> bytes:
    length, at = _long(value, at)
    if length < 0 or at + length != len(value):
        raise EnvelopeError(f"the payload should have {length} bytes, {len(value) - at} follow")
    return value[at:]


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
