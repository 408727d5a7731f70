"""What becomes of each record of a batch, whatever the processor's code does."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError, ExitCode, InputError
from schemas import framing
from schemas.registry import bundled
from streams.processor import Emit, Event, Output, processor
from streams.processor.event import Reader
from streams.processor.step import ProcessorStoppedError, Result, SourceRecord, Step, Written
from tests.streams.processors.records import ARRIVAL_MS, record, value


def run(declared: Any, records: list[SourceRecord]) -> Result:
    return Step(declared, bundled()).run(records)


def headers(written: Written) -> dict[str, str]:
    return {name: text.decode() for name, text in written.headers or ()}


# -- what is read


def test_an_event_has_all_of_its_record() -> None:
    data = value(
        raw_partition=3,
        raw_offset=70,
        occurred_at=1_699_999_999_001,
        received_at=1_699_999_999_002,
        version=2,
        stable_version=3,
        visitor_id="v",
        url="https://shop.example/p",
        properties={"order_id": "o"},
        context='{"page":{}}',
        extra='{"gift":true}',
    )
    event = Reader("order_completed").read(1, 7, b"k", data)
    assert event is not None
    assert (event.partition, event.offset, event.key, event.raw_partition, event.raw_offset) == (1, 7, b"k", 3, 70)
    assert (event.tenant, event.event, event.version, event.stable_version) == ("demo", "order_completed", 2, 3)
    assert (event.event_id, event.visitor_id, event.url) == ("e-1", "v", "https://shop.example/p")
    assert event.occurred_at == datetime(2023, 11, 14, 22, 13, 19, 1_000, UTC)
    assert event.received_at.microsecond == 2_000
    assert event.arrival_at.timestamp() == ARRIVAL_MS / 1000
    assert (event.properties, event.context, event.extra) == ({"order_id": "o"}, {"page": {}}, {"gift": True})
    assert event.properties is event.properties, "decoded once"
    assert set(event.fields) == {each["name"] for each in bundled().latest("event").source["fields"]}


def test_records_of_older_versions_are_read() -> None:
    old = bundled().get("event", 1)
    row = {each["name"]: 0 if each["type"] != "string" else "" for each in old.source["fields"]}
    row |= {"event": "order_completed", "properties": "{}", "context": "{}"}
    out = io.BytesIO()
    fastavro.schemaless_writer(out, old.plain, row)
    event = Reader("order_completed").read(0, 0, None, framing.prefix(old.id) + out.getvalue())
    assert event is not None
    assert (event.stable_version, event.extra) == (0, {})


@given(
    wanted=st.sampled_from(["page_view", "page", "order_completed", ""]),
    is_=st.sampled_from(["page_view", "page", "order_completed", "custom_event"]),
    elsewhere=st.sampled_from(["", "page_view", "\x12page_view", "\x08page", "\x1eorder_completed"]),
)
def test_events_of_other_contracts_are_passed_over_wherever_the_name_occurs(
    wanted: str, is_: str, elsewhere: str
) -> None:
    event = Reader(wanted).read(0, 0, None, value(event=is_, name=elsewhere, url=elsewhere))
    assert (event is not None) == (wanted in {"", is_})


@pytest.mark.parametrize("data", [b"", b"junk", value()[:-9], value()[:5], b"\0\0\0\0\0abc"])
def test_what_is_no_event_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(InputError):
        Reader("").read(0, 0, None, data)


# -- what is written


@processor(to=("first", "second"))
def told(event: Event) -> Iterable[Emit]:
    """Does what the event's properties say."""
    how = event.properties
    if "raise" in how:
        yield Emit(event, "lost: a call that raises writes nothing")
        raise ValueError(how["raise"])
    if "emit" in how:
        yield Emit(event, how["emit"], key=how.get("key"), to=how.get("to", ""))


def test_bytes_stay_and_all_else_is_json() -> None:
    @processor(to="out")
    def each(event: Event) -> Iterable[Emit]:
        return [Emit(event, v) for v in (b"\xff", "é", {"a": event.arrival_at}, None)]

    written = run(each, [record(4, partition=2)]).written
    assert [w.value for w in written] == [b"\xff", '"é"'.encode(), b'{"a":"2023-11-14T22:13:20.123000Z"}', b"null"]
    assert {(w.topic, w.partition, w.key, w.timestamp_ms, w.headers) for w in written} == {
        ("out", 2, b"demo|v", ARRIVAL_MS, None)
    }


def test_what_is_made_of_an_event_continues_its_trace() -> None:
    seen: list[str] = []

    @processor(to="out")
    def each(event: Event) -> Iterable[Emit]:
        seen.append(event.traceparent)
        if event.event_id == "e-1":
            raise ValueError("no")
        return [Emit(event, 1)]

    traced, failing, without = record(0), record(1), record(2)
    written = run(each, [traced._replace(traceparent="00-a"), failing._replace(traceparent="00-b"), without]).written
    assert seen == ["00-a", "00-b", ""]
    assert [headers(w).get("traceparent") for w in written] == ["00-a", "00-b", None]


def test_an_emit_may_name_key_and_topic() -> None:
    (written,) = run(told, [record(0, properties={"emit": 1, "key": "ké", "to": "second"})]).written
    assert (written.topic, written.key, written.value) == ("second", "ké".encode(), b"1")
    (written,) = run(told, [record(0, properties={"emit": 1, "to": "third"})]).written
    assert (written.topic, headers(written)["sluice.reason"]) == (
        "told.dead_letters",
        "ValueError: 'third' is not declared: outputs are first, second",
    )


def test_nothing_given_back_writes_nothing() -> None:
    @processor(to="out")
    def silent(event: Event) -> None:
        return None

    assert run(silent, [record(0)]) == Result([], Counter(processed=1))


def test_a_schema_makes_framed_avro() -> None:
    @processor(to=Output("out", schema="session_start"))
    def started(event: Event) -> Iterable[Emit]:
        yield Emit(event, event.properties)

    schema = bundled().latest("session_start")
    (written,) = run(started, [record(0, properties={"session_number": 7})]).written
    assert written.value.startswith(framing.prefix(schema.id))
    row = fastavro.schemaless_reader(io.BytesIO(written.value[5:]), schema.parsed)
    assert row == {each["name"]: 7 if each["name"] == "session_number" else None for each in schema.source["fields"]}
    for wrong in ({"sesion_number": 7}, {"session_number": "seven"}):
        (written,) = run(started, [record(0, properties=wrong)]).written
        assert written.topic == "started.dead_letters"


def test_a_value_of_a_schema_is_a_dict() -> None:
    @processor(to=Output("out", schema="session_start:1"))
    def wrong(event: Event) -> Iterable[Emit]:
        yield Emit(event, b"bytes")

    (written,) = run(wrong, [record(0)]).written
    assert headers(written)["sluice.reason"] == "TypeError: a value of session_start:1 must be a dict, not bytes"


@pytest.mark.parametrize(
    ("schema", "said"),
    [("big_order", "no schema big_order"), ("session_start:99", "no session_start:99"), ("session_start:x", "no sess")],
)
def test_an_unknown_schema_is_refused_at_start(schema: str, said: str) -> None:
    @processor(to=Output("out", schema=schema))
    def any_of_it(event: Event) -> Iterable[Emit]:
        return ()

    with pytest.raises(ConfigError, match=said):
        Step(any_of_it, bundled())


def test_a_value_that_no_topic_takes_is_a_dead_letter() -> None:
    @processor(to="out")
    def huge(event: Event) -> Iterable[Emit]:
        yield Emit(event, bytes(5 * 1024 * 1024))

    (written,) = run(huge, [record(0)]).written
    assert written.topic == "huge.dead_letters"
    assert "ValueError: a value of 5242880 bytes" in headers(written)["sluice.reason"]


# -- when it raises


def test_the_dead_letter_holds_the_record_and_the_reason() -> None:
    bad = record(7, partition=3, properties={"raise": "kein solcher Kauf: \u2013"})
    result = run(told, [record(6, properties={"emit": "before"}), bad, record(8, properties={"emit": "behind"})])
    assert [(w.topic, w.value) for w in result.written] == [
        ("first", b'"before"'),
        ("told.dead_letters", bad.value),
        ("first", b'"behind"'),
    ]
    letter = result.written[1]
    assert (letter.partition, letter.key, letter.timestamp_ms) == (3, b"demo|v", ARRIVAL_MS)
    assert headers(letter)["sluice.source"] == "curated/3/7"
    assert headers(letter)["sluice.processor"] == "told"
    assert headers(letter)["sluice.reason"] == "ValueError: kein solcher Kauf: \u2013"
    assert headers(letter)["sluice.at"].startswith(f"{__file__}:")
    assert (result.counts, result.first_failure[:10]) == (Counter(processed=2, dead_letter=1), "ValueError")


def test_properties_of_another_type_are_the_events_fault() -> None:
    @processor(to="out")
    def typed(events: list[Event[dict[str, int]]]) -> Iterable[Emit]:
        for event in events:
            yield Emit(event, event.properties["n"])

    result = run(typed, [record(0, properties={"n": 1}), record(1, properties={"n": "x"}), record(2, properties={})])
    assert [w.topic for w in result.written] == ["out", "typed.dead_letters", "typed.dead_letters"]
    assert headers(result.written[1])["sluice.reason"] == (
        "msgspec.ValidationError: Expected `int`, got `str` - at `$[...]`"
    )
    assert headers(result.written[2])["sluice.reason"] == "KeyError: 'n'"


def test_a_record_that_is_no_event_is_a_dead_letter_too() -> None:
    result = run(told, [record(0, b"junk"), SourceRecord(0, 1, ARRIVAL_MS, None, None), record(2, event="page_view")])
    assert [(w.topic, w.value) for w in result.written] == [("told.dead_letters", b"junk"), ("told.dead_letters", b"")]
    assert result.counts == Counter(dead_letter=2, processed=1)


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    "raised", [UnprintableError(), RecursionError("deep"), ValueError("cut \ud83d emoji"), ValueError("x" * 100_000)]
)
def test_any_exception_can_be_told(raised: Exception) -> None:
    @processor(to="out")
    def raising(event: Event) -> Iterable[Emit]:
        raise raised

    (written,) = run(raising, [record(0)]).written
    assert 0 < len(headers(written)["sluice.reason"]) <= 1_000


@pytest.mark.parametrize("given_back", [5, ["text"], [None]])
def test_what_is_no_emit_is_a_fault(given_back: Any) -> None:
    @processor(to="out")
    def odd(event: Event) -> Any:
        return given_back

    (written,) = run(odd, [record(0)]).written
    assert headers(written)["sluice.reason"].startswith("TypeError: ")


def test_stop_names_the_event_and_publishes_nothing() -> None:
    @processor(to="out", on_error="stop", schema="order_completed")
    def strict(events: list[Event]) -> Iterable[Emit]:
        for event in events:
            if event.offset == 5:
                raise ValueError("no such order")
            yield Emit(event, b"")

    with pytest.raises(ProcessorStoppedError) as caught:
        run(strict, [record(offset) for offset in range(10)])
    assert caught.value.message == (
        "strict stopped before event 'e-5' of 'demo' (curated, partition 0, offset 5): ValueError: no such order"
    )
    assert caught.value.exit_code == ExitCode.INTERNAL
    with pytest.raises(ProcessorStoppedError, match="before a record that is no event"):
        run(strict, [record(0, b"junk")])


@given(fates=st.lists(st.sampled_from(["good", "poison", "other", "junk"]), max_size=40), batches=st.booleans())
def test_every_event_has_one_fate_whatever_its_neighbours_have(fates: list[str], batches: bool) -> None:
    def treated(event: Event) -> Emit:
        if event.properties["fate"] == "poison":
            raise ValueError(event.offset)
        return Emit(event, str(event.offset).encode())

    @processor(to="out", schema="order_completed", name="fated")
    def in_batches(events: list[Event]) -> Iterable[Emit]:
        yield from map(treated, events)

    @processor(to="out", schema="order_completed", name="fated")
    def alone(event: Event) -> Iterable[Emit]:
        return [treated(event)]

    records = [
        record(at, b"junk" if fate == "junk" else None, **_of(fate), partition=at % 3) for at, fate in enumerate(fates)
    ]
    result = run(in_batches if batches else alone, records)
    assert [int(w.value) for w in result.written if w.topic == "out"] == [
        at for at, fate in enumerate(fates) if fate == "good"
    ]
    failed = sorted(w.value for w in result.written if w.topic == "fated.dead_letters")
    assert failed == sorted(
        r.value or b"" for r, fate in zip(records, fates, strict=True) if fate in {"poison", "junk"}
    )
    assert result.counts == Counter(
        {
            name: count
            for name, count in {
                "processed": fates.count("good"),
                "skipped": fates.count("other"),
                "dead_letter": fates.count("poison") + fates.count("junk"),
            }.items()
            if count
        }
    )


def _of(fate: str) -> dict[str, Any]:
    return {"event": "page_view" if fate == "other" else "order_completed", "properties": {"fate": fate}}


def test_one_poisoned_event_costs_few_calls() -> None:
    calls: list[int] = []

    @processor(to="out")
    def counting(events: list[Event]) -> Iterable[Emit]:
        calls.append(len(events))
        if any(event.offset == 700 for event in events):
            raise ValueError
        return []

    result = run(counting, [record(offset) for offset in range(1_000)])
    assert result.counts == Counter(processed=999, dead_letter=1)
    assert len(calls) <= 2 * 10 + 1
