"""The value of a raw record: written by the collector, sliced by the streams (schema `raw_envelope`).

Version 2 puts what repeats from record to record (`Head`) in one piece behind its length: a reader looks the piece up
instead of decoding it, which with the rest read in place costs a quarter of decoding field by field. Written by hand
for speed, both ways, and held equal to fastavro by property tests. Version 1 is still read.
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
# The clock of 1987 to 2109 in milliseconds is a varint of this many bytes.
_TIME_BYTES = 6
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


class _Times(dict[bytes, int]):
    """The time that six bytes stand for: events come many to a millisecond. 0 if it takes more or fewer."""

    def __missing__(self, encoded: bytes) -> int:
        if len(encoded) < _TIME_BYTES or encoded[-1] > 127 or min(encoded[:-1]) < 128:
            return 0
        if len(self) >= _MOST_REMEMBERED:
            self.clear()
        time_ms, _ = _long(encoded, 0)
        self[encoded] = time_ms
        return time_ms


_times = _Times()
_written_heads: dict[Head, bytes] = {}
_read_heads: dict[bytes, Head] = {}


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
    agent, trace, ip = user_agent.encode(), traceparent.encode(), client_ip.encode()
    number = for_bytes()["V"]
    return b"".join(
        (
            _usual_prefix(),
            _written_heads.get(head) or _write_head(head),
            receipt_id,
            number[received_at_ms],
            number[len(trace)],
            trace,
            number[len(agent)],
            agent,
            number[len(ip)],
            ip,
            number[len(payload)],
            payload,
        )
    )


def decode(value: bytes) -> Envelope:
    """The envelope of a raw record's value.

    Raises:
        EnvelopeError: not framed, written with an unknown schema, truncated, or with bytes left over.
    """
    try:
        if value[:5] == _usual_prefix() and (found := _decode_usual(value)) is not None:
            return found
    except (IndexError, UnicodeDecodeError):
        pass  # read where it does not end where it usually does
    try:
        return _decode_by_field(value)
    except (IndexError, UnicodeDecodeError) as error:
        raise EnvelopeError("the envelope is truncated or corrupt") from error


def _decode_usual(value: bytes) -> Envelope | None:
    """The short cut: a head that was seen before, lengths of one or two bytes. None if the value is not like that."""
    size = value[5]
    at = 6 + (size >> 1)
    head = _read_heads.get(value[6:at])
    if head is None:
        return None
    receipt_id = value[at : at + 16]
    received_at_ms = _times[value[at + 16 : at + 16 + _TIME_BYTES]]
    at += 16 + _TIME_BYTES
    trace = value[at]
    end = at + 1 + (trace >> 1)
    traceparent = value[at + 1 : end].decode() if trace else ""
    agent = value[end]
    if agent < 128:
        more = 0
        at = end + 1 + (agent >> 1)
        user_agent = value[end + 1 : at].decode()
    else:
        more = value[end + 1]
        at = end + 2 + ((agent & 127 | more << 7) >> 1)
        user_agent = value[end + 2 : at].decode()
    ip = value[at]
    end = at + 1 + (ip >> 1)
    client_ip = value[at + 1 : end].decode() if ip else ""
    low, high = value[end], value[end + 1]
    payload = value[end + 2 :]
    if (
        (low & 127 | high << 7) != len(payload) << 1
        or not low > 127 > high
        or (size | trace | agent | ip) & 1  # a length below 0
        or (size | trace | more | ip) > 127
        or not received_at_ms
    ):
        return None
    return Envelope(head, receipt_id, received_at_ms, traceparent, user_agent, client_ip, payload)


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
    if at - begins != size:  # who takes the short cut must see the same
        raise EnvelopeError(f"the envelope's head should have {size} bytes and has {at - begins}")
    receipt_id = value[at : at + 16]
    received_at_ms, at = _long(value, at + 16)
    traceparent, at = _string(value, at)
    user_agent, at = _string(value, at)
    client_ip, at = _string(value, at)
    payload = _payload(value, at)
    if len(_read_heads) >= _MOST_REMEMBERED:
        _read_heads.clear()
    _read_heads[value[begins : begins + size]] = head
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
