"""The envelope of raw records, held to fastavro both ways; and every way it can be broken."""

from __future__ import annotations

import io
import time
from typing import Any

import fastavro
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas import envelope, framing
from schemas.codegen.encoder import varint
from schemas.envelope import NO_RECEIPT, Envelope, EnvelopeError, Head
from schemas.registry import bundled

SCHEMA = bundled().get("raw_envelope", 2)
BEFORE = bundled().get("raw_envelope", 1)
TEXT = st.text(max_size=30) | st.text("\0é漢🙂", max_size=100)
HEADS = st.builds(
    Head,
    event=TEXT,
    version=st.integers(-(2**31), 2**31 - 1),
    tenant=TEXT,
    key_id=TEXT,
    source=TEXT,
    historical=st.booleans(),
)
USUAL_HEADS = st.sampled_from([Head("page_view", 0, "demo", "k", "native", historical) for historical in (True, False)])
TIMES = st.integers(1_700_000_000_000, 1_800_000_000_000) | st.integers(-(2**63), 2**63 - 1)
AGENTS = st.sampled_from(["", "curl/8", "Mozilla/5.0 " + "x" * 90, "é" * 64, "y" * 9_000]) | TEXT
ENVELOPES = st.builds(
    Envelope,
    head=USUAL_HEADS | HEADS,
    receipt_id=st.binary(min_size=16, max_size=16),
    received_at_ms=TIMES,
    traceparent=st.sampled_from(["", "00-" + "a" * 52]) | TEXT,
    user_agent=AGENTS,
    client_ip=st.sampled_from(["", "203.0.113.0"]) | st.text(max_size=90),
    payload=st.binary(max_size=200) | st.sampled_from([b"p" * 300, b"p" * 9_000]),
)
ONE = Envelope(
    Head("page_view", 1, "demo", "k", "native", True), b"r" * 16, 1_700_000_000_000, "00-a", "agent", "::", b"p" * 99
)


def as_row(of: Envelope) -> dict[str, Any]:
    row = of._asdict()
    head = row.pop("head")._asdict()
    row["received_at"] = row.pop("received_at_ms")
    return {**row, **head, "head_bytes": len(head_of(head))}


def head_of(row: dict[str, Any]) -> bytes:
    schema = {"type": "record", "name": "Head", "fields": SCHEMA.plain["fields"][1:7]}
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema, named_schemas={}), row)
    return out.getvalue()


def by_fastavro(of: Envelope) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, SCHEMA.plain, as_row(of))
    return framing.prefix(SCHEMA.id) + out.getvalue()


def of_before(of: Envelope) -> bytes:
    """As the first version has it."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, BEFORE.plain, as_row(of))
    return framing.prefix(BEFORE.id) + out.getvalue()


@given(ENVELOPES)
def test_the_first_version_is_still_read(of: Envelope) -> None:
    assert envelope.decode(of_before(of)) == of._replace(receipt_id=NO_RECEIPT, user_agent="", client_ip="")


@given(ENVELOPES, ENVELOPES)
def test_what_begins_alike_has_the_same_head(of: Envelope, other: Envelope) -> None:
    value, same = by_fastavro(of), by_fastavro(other._replace(head=of.head))
    beginning = envelope.beginning(value)
    assert beginning == envelope.beginning(same) == value[: len(beginning)]
    assert len(beginning) == 6 + (len(head_of(as_row(of))) > 63) + len(head_of(as_row(of)))
    # What lies behind is the receipt.
    assert value[len(beginning) : len(beginning) + 16] == of.receipt_id


def test_of_another_version_or_frame_no_beginning_is_told() -> None:
    assert envelope.beginning(by_fastavro(ONE))
    assert not envelope.beginning(of_before(ONE))
    assert not envelope.beginning(b"\x01" + SCHEMA.guid.bytes + by_fastavro(ONE)[5:])
    assert not envelope.beginning(by_fastavro(ONE._replace(head=ONE.head._replace(tenant="t" * 9_000))))


@given(ENVELOPES)
def test_written_as_fastavro_writes(of: Envelope) -> None:
    assert envelope.encode(**of._asdict()) == by_fastavro(of)


@given(ENVELOPES)
def test_read_as_fastavro_reads(of: Envelope) -> None:
    value = by_fastavro(of)
    assert envelope.decode(value) == of
    assert fastavro.schemaless_reader(io.BytesIO(value[5:]), SCHEMA.plain) == as_row(of)


@given(ENVELOPES)
def test_read_back_as_written(of: Envelope) -> None:
    assert envelope.decode(envelope.encode(**of._asdict())) == of


def test_cut_anywhere_it_is_refused() -> None:
    value = by_fastavro(ONE)
    assert envelope.decode(value) == ONE
    for end in range(len(value)):
        with pytest.raises(EnvelopeError):
            envelope.decode(value[:end])


@given(ENVELOPES, st.binary(min_size=1, max_size=20))
def test_bytes_left_over_are_refused(of: Envelope, rest: bytes) -> None:
    with pytest.raises(EnvelopeError, match="payload"):
        envelope.decode(by_fastavro(of) + rest)


@given(st.binary(max_size=60))
@example(b"")
@example(b"\xff" * 10)
@example(varint(-1))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    for value in (body, framing.prefix(SCHEMA.id) + body):
        try:
            read = envelope.decode(value)
        except EnvelopeError:
            continue
        assert read.payload == value[len(value) - len(read.payload) :]


@given(ENVELOPES, st.data())
def test_one_flipped_bit_raises_nothing_else(of: Envelope, data: st.DataObject) -> None:
    value = bytearray(by_fastavro(of))
    bit = data.draw(st.integers(0, len(value) * 8 - 1))
    value[bit // 8] ^= 1 << bit % 8
    try:
        read = envelope.decode(bytes(value))
    except EnvelopeError:
        return
    assert -(2**63) <= read.received_at_ms < 2**63
    assert -(2**63) <= read.head.version < 2**63


LONGS_THAT_ARE_NONE = {
    "ten bytes, 65 bits": b"\xff" * 9 + b"\x02",
    "eleven bytes": b"\xff" * 10 + b"\x01",
    "no end": b"\xff" * 50,
}


@pytest.mark.parametrize("long", LONGS_THAT_ARE_NONE.values(), ids=LONGS_THAT_ARE_NONE)
@pytest.mark.parametrize("place", ["version", "received_at"])
def test_a_long_of_more_than_64_bits_is_refused(long: bytes, place: str) -> None:
    head = framing.prefix(SCHEMA.id) + varint(7) + varint(1) + b"e"
    rest = b"\0" * 50
    value = head + (long if place == "version" else b"\0" * 21 + long) + rest
    with pytest.raises(EnvelopeError, match="corrupt"):
        envelope.decode(value)


def test_a_megabyte_of_continuation_bytes_costs_no_time() -> None:
    """Read without a bound it becomes an integer of a million digits, in quadratic time."""
    started = time.monotonic()
    with pytest.raises(EnvelopeError):
        envelope.decode(framing.prefix(SCHEMA.id) + b"\xff" * 1_000_000)
    assert time.monotonic() - started < 1


def test_text_that_is_not_utf8_is_refused() -> None:
    value = by_fastavro(ONE).replace(b"page_view", b"page\xffview")
    with pytest.raises(EnvelopeError, match="corrupt"):
        envelope.decode(value)


def test_another_schema_is_named() -> None:
    value = by_fastavro(ONE)
    with pytest.raises(EnvelopeError, match="schema 77"):
        envelope.decode(framing.prefix(77) + value[5:])
    with pytest.raises(EnvelopeError, match="Confluent"):
        envelope.decode(b"\x07" + value[1:])
