"""The short way of reading a record does what the long way does; rows are written as the generated encoder writes."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.settings import Settings
from schemas import envelope
from schemas.codegen.encoder import compile_encoder
from schemas.contracts import bundled_contracts
from schemas.envelope import Head
from schemas.near_miss import near_misses
from schemas.registry import bundled
from schemas.sample import samples
from streams.enrich.chain import Chain
from streams.reading import Part, RawRecord, Reader
from streams.rows import encoded
from tests.streams.raw_events import tracked

CONTRACTS = bundled_contracts()
SUBJECTS = bundled().subjects("event")
VALID = {s: [*islice(samples(bundled().latest(s).resolved), 40)] for s in SUBJECTS}
BROKEN = {s: [miss.properties for miss in islice(near_misses(bundled().latest(s).resolved), 40)] for s in SUBJECTS}
ENCODE = compile_encoder(bundled().get("event", 4)).encode
CHAIN = Chain(Settings())
FIRST_MS = 1_780_000_000_000


class Forgetful(dict[bytes, Any]):
    """Nothing is usual to who never remembers it."""

    def __setitem__(self, key: bytes, value: object) -> None:
        pass


def reader() -> Reader:
    """One that goes the long way."""
    made = Reader(CONTRACTS)
    made._usual = Forgetful()
    return made


LONG = reader()
TEXT = st.text(max_size=8) | st.sampled_from(["", "v-1", "Grüße", "漢字🙂", "a\\b", 'a"b', "x" * 100, "é" * 200])
JSON = st.recursive(
    TEXT | st.integers() | st.booleans() | st.none() | st.floats(), lambda inner: st.lists(inner, max_size=2)
)
EXTRA = st.dictionaries(st.text(max_size=5), JSON, max_size=2)
EVENTS = st.fixed_dictionaries(
    {
        "event_id": TEXT,
        "event_type": st.sampled_from(["page_view", "custom_event", "identity"]),
        "name": TEXT,
        "session_id": TEXT,
        "visitor_id": TEXT,
        "user_id": TEXT,
        "url": TEXT | st.sampled_from(["https://a.example/?utm_term=caf%C3%A9", "/" + "p" * 9_000]),
        "referrer": TEXT | st.just("https://www.google.com/"),
        "context": st.just({}) | st.just({"page": {}}) | EXTRA,
        "consent_state": st.sampled_from(["pending", "granted", "denied", "maybe"]),
        "occurred_at": st.sampled_from([FIRST_MS, 0, -5, 8_192, "2026-05-01T00:00:00.5Z", "late"]),
    },
    optional={
        "sent_at": st.just(0),
        "more": TEXT,
        "time_clamped": st.sampled_from(["", "future", "past", "elsewhere on"]),
    },
)


@st.composite
def values(draw: st.DrawFn) -> tuple[Head, bytes]:
    subject = draw(st.sampled_from(SUBJECTS))
    properties = draw(
        st.sampled_from(VALID[subject])
        | (st.sampled_from(BROKEN[subject]) if BROKEN[subject] else EXTRA)
        | EXTRA.map(lambda more: VALID[subject][0] | more)
    )
    usual = tracked(event_id=f"e-{draw(st.integers(0, 3))}")
    event = (draw(EVENTS) if draw(st.booleans()) else usual) | {"properties": properties}
    payload = json.dumps(event, ensure_ascii=draw(st.booleans()), separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )
    head = Head(
        subject, draw(st.sampled_from([0, 0, 1, 9])), draw(st.sampled_from(["demo", "žluť"])), "k", "native", False
    )
    value = envelope.encode(
        head=head,
        received_at_ms=draw(st.sampled_from([FIRST_MS, 5, 2**43 - 1])),
        payload=payload,
        traceparent=draw(st.sampled_from(["", "", "00-" + "a" * 52, "é"])),
        user_agent=draw(st.sampled_from(["", "curl/8", "Mozilla/5.0 " + "x" * 90, "é" * 64, "y" * 9_000])),
        client_ip=draw(st.sampled_from(["", "203.0.113.0", "é"])),
    )
    if draw(st.integers(0, 3)):
        return head, value
    at = draw(st.integers(0, len(value) - 1))
    return head, draw(
        st.sampled_from([value[:at], value[:at] + b"\xff" + value[at + 1 :], value[:at] + b"\\" + value[at + 1 :]])
        | st.integers(0, 255).map(lambda byte: value[:at] + bytes([byte]) + value[at + 1 :])
    )


def known(head: Head, at: int) -> RawRecord:
    """A valid record of that head: after it, the head is usual."""
    payload = json.dumps(tracked(properties=VALID[head.event][0]))
    return RawRecord(at, 7, None, envelope.encode(head=head, received_at_ms=FIRST_MS, payload=payload.encode()))


def become(part: Part) -> tuple[Any, ...]:
    written = [encoded(3, part.rows, columns, are_short=part.are_short) for columns in (CHAIN.apply(part.facts), None)]
    assert written[1] == encoded(3, part.rows, None, are_short=False)
    return written, part.ids, part.facts, part.dead_letters, part.judged, part.unplanned, part.traces


@given(st.lists(values(), min_size=1, max_size=4))
def test_both_ways_do_the_same(sent: list[tuple[Head, bytes]]) -> None:
    short = Reader(CONTRACTS)
    records = [known(head, at) for at, (head, _) in enumerate(sent)]
    short.read(3, records, with_facts=True)
    records = [RawRecord(8_190 + at, 7, b"k", value) for at, (_, value) in enumerate(sent)]
    assert become(short.read(3, records, with_facts=True)) == become(LONG.read(3, records, with_facts=True))
    bare = short.read(3, records, with_facts=False)
    assert not bare.facts
    assert bare.ids == LONG.read(3, records, with_facts=False).ids


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("text", ["plain", "Grüße 漢字"])
def test_usual_events_take_the_short_way(subject: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above compared the long way with itself."""
    contract = CONTRACTS.usual(subject, 0)
    assert contract is not None
    if not (text.isascii() or contract.compiled.is_wide):
        pytest.skip("it counts characters")
    head = Head(subject, 0, "demo", "k", "native", historical=False)
    short = Reader(CONTRACTS)
    short.read(0, [known(head, 0)], with_facts=False)
    monkeypatch.setattr(short, "_read_anew", None)
    properties = VALID[subject][0]
    event = json.dumps(
        tracked(event_id="e-2", referrer=f"https://a.example/{text}", properties=properties), ensure_ascii=False
    )
    value = envelope.encode(
        head=head, received_at_ms=FIRST_MS, payload=event.encode(), traceparent="00-" + "a" * 52, user_agent="x" * 90
    )
    assert len(short.read(0, [RawRecord(1, 1, None, value)], with_facts=True).rows) == 1


@given(st.lists(values(), min_size=1, max_size=3))
def test_rows_are_written_as_the_generated_encoder_writes(sent: list[tuple[Head, bytes]]) -> None:
    records = [RawRecord(at * 9_000, 2**40 + at, b"k", value) for at, (_, value) in enumerate(sent)]
    part = LONG.read(3, records, with_facts=True)
    columns = CHAIN.apply(part.facts)
    letters = {letter.raw_offset for letter in part.dead_letters}
    made = iter(columns.made)
    expected = []
    for record, agent, referrer, campaign, channel, place, derived in zip(
        [record for record in records if record.offset not in letters],
        *(columns.agents, columns.referrers, columns.campaigns, columns.channels, columns.places, columns.derived),
        strict=True,
    ):
        env = envelope.decode(record.value or b"")
        judged = CONTRACTS.judge(env.head.event, env.head.version, env.payload)
        event, contract = judged.event, judged.contract
        of_envelope = (3, record.offset, record.arrival_ms, env.received_at_ms, event.occurred_at, env.head.tenant)
        of_contract = (contract.subject, contract.version, event.event_type, event.name)
        ids = (event.event_id, event.visitor_id, event.session_id or next(made), event.user_id)
        rest = (event.url, event.referrer, event.consent_state, env.head.source, judged.properties, judged.context)
        found = (*agent, *referrer, *campaign[3:], channel, *place, derived)
        expected.append(
            ENCODE(
                *of_envelope,
                *of_contract,
                *ids,
                *rest,
                contract.stable_version,
                judged.extra,
                *found,
                event.time_clamped,
            )
        )
    assert encoded(3, part.rows, columns, are_short=part.are_short) == expected
