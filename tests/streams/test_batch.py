"""What becomes of a batch: each record exactly one outcome, in order, and the window is only read."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ids import dedupe_id
from core.settings import Settings
from schemas import framing
from schemas.contracts import bundled_contracts
from schemas.registry import bundled
from streams.batch import NOT_JUDGED, PartitionResult, RawRecord, by_partition, process
from streams.enrich.chain import Chain
from streams.records import Outcome, decode_outcome, encode_outcome
from streams.window import DedupeWindow, unpack
from tests.streams.raw_events import ARRIVAL_MS, raw_value, record, tracked, wrapped

CONTRACTS = bundled_contracts()
SCHEMA = bundled().latest("event")


def window() -> DedupeWindow:
    return DedupeWindow(max_age_ms=10**9, max_ids=10**6)


def run(records: list[RawRecord], seen: DedupeWindow | None = None, partition: int = 3) -> PartitionResult:
    return process(partition, records, window=seen or window(), contracts=CONTRACTS)


def outcome_of(result: PartitionResult) -> Outcome:
    assert result.outcome is not None
    return result.outcome


def told(result: PartitionResult) -> list[str]:
    """The outcome of each record, in order."""
    return [run.outcome for run in outcome_of(result).runs for _ in range(run.count)]


def row(value: bytes) -> dict[str, Any]:
    schema_id, at = framing.split(value)
    assert schema_id == SCHEMA.id
    read = fastavro.schemaless_reader(io.BytesIO(value[at:]), SCHEMA.plain)
    assert isinstance(read, dict)
    return read


TEXT = st.text(max_size=20)
JSON_OBJECT = st.dictionaries(TEXT, st.text() | st.integers() | st.none() | st.lists(st.booleans()), max_size=3)
EVENTS = st.fixed_dictionaries(
    {
        "event_id": st.text(min_size=1, max_size=128),
        "event_type": st.sampled_from(["page_view", "custom_event", "identity"]),
        "name": TEXT,
        "session_id": TEXT,
        "visitor_id": st.text(min_size=1, max_size=30),
        "user_id": TEXT,
        "url": TEXT,
        "referrer": TEXT,
        "properties": JSON_OBJECT,
        "context": JSON_OBJECT,
        "consent_state": st.sampled_from(["pending", "granted", "denied"]),
        "occurred_at": st.integers(-62135596800000, 253402300799999),
    }
)


@given(EVENTS, st.text(max_size=10), st.integers(0, 2**62), st.booleans())
def test_a_curated_record_says_what_was_sent(event: dict[str, Any], tenant: str, offset: int, escaped: bool) -> None:
    payload = json.dumps(event, ensure_ascii=escaped).encode()
    value = wrapped(payload, tenant=tenant, event="signup", source="native", received_at_ms=5)
    result = run([RawRecord(offset, 77, b"key", value)])
    assert told(result) == ["curated"]
    (curated,) = result.curated
    assert (curated.key, curated.arrival_ms) == (b"key", 77)
    read = row(curated.value)
    assert json.loads(read.pop("properties")) == event["properties"]
    assert json.loads(read.pop("context")) == event["context"]
    assert (read.pop("stable_version"), read.pop("extra")) == (1, "")
    for field in SCHEMA.source["fields"][22:]:  # without a chain nothing is enriched
        assert read.pop(field["name"]) == field["default"]
    assert read == {
        "raw_partition": 3,
        "raw_offset": offset,
        "arrival_at": 77,
        "received_at": 5,
        "tenant": tenant,
        "event": "custom_event",
        "version": 1,
        "source": "native",
        **{name: value for name, value in event.items() if name not in {"properties", "context"}},
    }
    assert result.new_ids == [dedupe_id(tenant, event["event_id"])]


def test_what_enrichment_finds_is_on_the_record() -> None:
    chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
    sent = tracked(session_id="", url="https://a.example/?utm_source=x&utm_medium=cpc&utm_term=t&gclid=g", referrer="")
    value = wrapped(json.dumps(sent).encode(), user_agent=chrome)
    result = process(3, [record(0, value)], window=window(), contracts=CONTRACTS, chain=Chain(Settings()))
    (curated,) = result.curated
    read = row(curated.value)
    assert (read["ua_browser"], read["ua_browser_version"], read["ua_device"], read["is_bot"]) == (
        *("Chrome", "130", "desktop"),
        False,
    )
    assert (read["utm_term"], read["click_id_type"], read["click_id"]) == ("t", "gclid", "g")
    assert read["session_derived"] is True
    assert read["session_id"]


def test_properties_pass_through_byte_for_byte() -> None:
    payload = json.dumps(tracked()).replace('{"title": "A"}', '{ "title":"\\u0041",  "status":200 }').encode()
    (curated,) = run([record(0, wrapped(payload))]).curated
    assert row(curated.value)["properties"] == '{ "title":"\\u0041",  "status":200 }'


# n: a new event; a number: repeats that event id; b: breaks its contract; x: no envelope; s: was seen before.
KINDS = st.lists(st.sampled_from(["new", "repeat", "broken", "no envelope", "seen"]), min_size=1, max_size=25)


@given(KINDS, st.lists(st.integers(1, 4), min_size=25, max_size=25))
def test_each_record_has_exactly_one_outcome_in_order(kinds: list[str], gaps: list[int]) -> None:
    seen, records, expected, offset = window(), [], [], 1_000
    seen.add(dedupe_id("demo", "old"), offsets=[7], arrival_ms=0)
    first_ids: list[str] = []
    firsts: dict[bytes, int] = {}
    for number, kind in enumerate(kinds):
        offset += gaps[number]
        match kind:
            case "new":
                first_ids.append(f"e-{number}")
                value, outcome = raw_value(event_id=f"e-{number}"), "curated"
            case "repeat":
                outcome = "duplicate" if first_ids else "curated"
                first_ids = first_ids or ["e-first"]
                value = raw_value(event_id=first_ids[number % len(first_ids)])
            case "broken":
                value, outcome = raw_value(event_id=..., url=str(number)), "dead_letter"
            case "no envelope":
                value, outcome = b"\x05junk" + bytes([number]), "dead_letter"
            case _:
                value, outcome = raw_value(event_id="old"), "duplicate"
        records.append(record(offset, value))
        expected.append((offset, outcome, value))
        firsts.setdefault(value, 7 if kind == "seen" else offset)

    result = run(records, seen)
    whole = outcome_of(result)
    assert told(result) == [kind for _, kind, _ in expected]
    assert (whole.raw_partition, whole.first, whole.last) == (3, records[0].offset, records[-1].offset)
    assert whole.records == len(records)
    assert [row(c.value)["raw_offset"] for c in result.curated] == [o for o, kind, _ in expected if kind == "curated"]
    assert [(d.raw_offset, d.raw) for d in result.dead_letters] == [
        (o, value) for o, kind, value in expected if kind == "dead_letter"
    ]
    assert whole.firsts == [firsts[value] for _, kind, value in expected if kind == "duplicate"]
    assert decode_outcome(encode_outcome(whole)) == whole
    assert unpack(whole.ids) == result.new_ids
    assert result.new_offsets == [o for o, kind, _ in expected if kind == "curated"]
    assert len(set(result.new_ids)) == len(result.curated)
    assert sum(whole.contracts.values()) == len(records)
    assert result.last_arrival_ms == records[-1].arrival_ms
    # Only read: what was seen is remembered by whoever commits.
    assert len(seen) == 1


def test_a_repeat_is_told_against_batch_and_window() -> None:
    first = run([record(0, raw_value()), record(1, raw_value()), record(2, raw_value(event_id="e-2"))])
    assert told(first) == ["curated", "duplicate", "curated"]
    seen = window()
    seen.add(outcome_of(first).ids, offsets=first.new_offsets, arrival_ms=ARRIVAL_MS)
    assert told(run([record(3, raw_value()), record(4, raw_value(event_id="e-3"))], seen)) == ["duplicate", "curated"]


def test_an_id_belongs_to_its_tenant() -> None:
    values = [raw_value(envelope={"tenant": tenant}) for tenant in ("a", "b", "a")]
    assert told(run([record(i, value) for i, value in enumerate(values)])) == ["curated", "curated", "duplicate"]


def test_a_dead_letter_is_no_first_sight() -> None:
    """The corrected event, sent under the same id, must get through."""
    result = run([record(0, raw_value(url=7)), record(1, raw_value())])
    assert told(result) == ["dead_letter", "curated"]
    assert len(result.new_ids) == 1


def test_processing_twice_gives_the_same() -> None:
    records = [record(0, raw_value()), record(1, None), record(2, raw_value()), record(3, raw_value(event_id=""))]
    one, two = run(records), run(records)
    assert one == two
    assert encode_outcome(outcome_of(one)) == encode_outcome(outcome_of(two))


def test_a_dead_letter_says_whose_and_why() -> None:
    value = raw_value(properties={"status": "200"}, envelope={"tenant": "t", "version": 1, "traceparent": "tp"})
    (letter,) = run([record(7, value)]).dead_letters
    assert (letter.raw_partition, letter.raw_offset, letter.arrival_at) == (3, 7, ARRIVAL_MS + 7)
    assert (letter.tenant, letter.event, letter.version, letter.traceparent) == ("t", "page_view", 1, "tp")
    assert (letter.code, letter.faults[0].path) == ("wrong_type", "$.properties.status")
    assert letter.raw == value


def test_records_are_counted_by_the_contract_that_judged_them() -> None:
    values = [
        raw_value(event_id="1"),
        raw_value(event_id="2", properties={"status": 1}),
        raw_value(event_id="3", envelope={"event": "signup"}),
        raw_value(event_id="4", envelope={"event": "signup"}, properties=[]),
        raw_value(event_id="5", envelope={"event": "signup", "version": 9}),
        b"no envelope",
    ]
    result = run([record(i, value) for i, value in enumerate(values)])
    assert outcome_of(result).contracts == {"page_view:1": 2, "custom_event:1": 2, NOT_JUDGED: 2}


def test_names_that_clients_choose_do_not_swell_an_outcome() -> None:
    """One record of the outcome topic tells about a whole batch: it must stay far below what Kafka takes."""
    values = [raw_value(envelope={"event": f"{i:0200}", "version": i % 2 * 9}, properties=i) for i in range(2_000)]
    result = run([record(i, value) for i, value in enumerate(values)])
    assert set(told(result)) == {"dead_letter"}
    assert len(encode_outcome(outcome_of(result))) < 1_000


def test_the_worst_batch_of_the_default_size_fits_one_outcome_record() -> None:
    values = [raw_value(event_id=f"{i}") if i % 2 else b"" for i in range(10_000)]
    result = run([record(2**40 + i, value) for i, value in enumerate(values)])
    assert len(outcome_of(result).runs) == 10_000
    assert len(encode_outcome(outcome_of(result))) < 1_000_000


@pytest.mark.parametrize("event", ["page_view", "identity", "signup"])
def test_the_contract_is_found_by_the_envelope(event: str) -> None:
    (curated,) = run([record(0, raw_value(envelope={"event": event}))]).curated
    assert row(curated.value)["event"] == ("custom_event" if event == "signup" else event)


@given(st.lists(st.integers(0, 3), max_size=30))
def test_grouping_keeps_the_order_within_a_partition(partitions: list[int]) -> None:
    records = [(p, record(i, None)) for i, p in enumerate(partitions)]
    grouped = by_partition(records)
    assert set(grouped) == set(partitions)
    for partition, group in grouped.items():
        assert group == [r for p, r in records if p == partition]
