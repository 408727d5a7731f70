"""What is understood and not stored is counted, and told until Kafka has it."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.app import create_app
from collector.controls import Controls
from collector.drops import MAX_ROWS, DropLog, Dropped, Telling
from collector.key_table import KeyTable
from collector.memory import MemoryPublisher
from collector.publisher import Failure
from core.clock import ManualClock
from core.settings import Settings
from schemas import drops
from schemas.drops import Drop, Drops
from tests.collector.asgi import Client
from tests.collector.conftest import COLLECT, KEY, event


@pytest.fixture
def log(settings: Settings, clock: ManualClock) -> DropLog:
    return DropLog(settings, collector="test-0", clock=clock)


@pytest.fixture
def anonymous(settings: Settings, publisher: MemoryPublisher, clock: ManualClock, log: DropLog) -> Client:
    controls = Controls(keys=KeyTable.alone(settings), drops=log)
    return Client(create_app(settings, publisher=publisher, controls=controls, clock=clock))


def record_of(telling: Telling | None) -> Drops:
    assert telling is not None
    return drops.decode(telling.record.value or b"")


def counted(log: DropLog) -> dict[tuple[str, str, str], int]:
    return {(each.tenant, each.event, each.reason): each.total for each in record_of(log.telling(closing=True)).drops}


@pytest.mark.parametrize(
    ("body", "headers", "row"),
    [
        (event(consent_state="denied"), [], ("demo", "page_view", "no_consent")),
        (event(), [("sec-gpc", "1")], ("demo", "page_view", "gpc")),
        (event(event_type="custom_event", name="Sign up"), [("dnt", "1")], ("demo", "Sign up", "dnt")),
        (event(consent_state="denied", name="ada@shop.example"), [], ("demo", "", "no_consent")),
        (event(consent_state="denied", name="x" * 101), [], ("demo", "", "no_consent")),
        (event(consent_state="denied", name=KEY), [], ("demo", "REDACTED", "no_consent")),
        (event(typo=1), [], ("demo", "page_view", "unknown_field")),
        (event(event_type="click"), [], ("demo", "click", "invalid_field")),
        (event(event_type=["click"]), [], ("demo", "", "invalid_field")),
        (event(tracking_key="nope"), [], ("demo", "page_view", "unauthorized")),
    ],
)
def test_what_is_counted(
    client: Client, log: DropLog, body: Any, headers: list[tuple[str, str]], row: tuple[str, str, str]
) -> None:
    reply = client.request("POST", COLLECT, msgspec.json.encode([body, body, event(event_id="ok")]), headers=headers)
    assert reply is not None
    assert counted(log) == {row: 2} if not headers else {row: 2, ("demo", "page_view", row[2]): 1}


def test_what_kafka_calls_too_large_is_counted(client: Client, publisher: MemoryPublisher, log: DropLog) -> None:
    publisher.refuse[b"demo|v-1"] = Failure.TOO_LARGE
    reply = client.request("POST", COLLECT, msgspec.json.encode(event()))
    assert reply is not None
    assert reply.json["rejected"] == 1
    assert counted(log) == {("demo", "", "too_large"): 1}


def test_what_is_not_for_good_is_not_counted(client: Client, publisher: MemoryPublisher, log: DropLog) -> None:
    publisher.refuse[b"demo|v-1"] = Failure.RETRY
    client.request("POST", COLLECT, msgspec.json.encode(event()))
    client.request("POST", f"{COLLECT}?validate=strict", msgspec.json.encode(event(typo=1)))
    assert counted(log) == {}


def test_names_and_tenants_are_bounded(log: DropLog) -> None:
    log.count(Dropped(f"t{n}", f"e{n}", "dnt") for n in range(3 * MAX_ROWS))
    found = counted(log)
    assert len(found) <= 2 * MAX_ROWS + 1
    assert sum(found.values()) == 3 * MAX_ROWS
    assert found["", "", "dnt"] > 0


def test_an_epoch_begins_and_ends(log: DropLog, clock: ManualClock) -> None:
    first = log.telling()
    assert record_of(first).drops == ()
    assert log.telling() is None, "one record at a time"
    assert first is not None
    first.told(stored=True)
    assert log.telling() is None, "nothing is new"
    log.count([Dropped("t", "e", "dnt")] * 3)
    clock.advance(5.0)
    second = log.telling()
    assert second is not None
    assert record_of(second) == Drops(
        collector="test-0",
        epoch=record_of(first).epoch,
        sequence=1,
        since=record_of(first).until,
        until=clock.now_ms(),
        closing=False,
        total=3,
        drops=(Drop("t", "e", "dnt", 3, 3),),
    )
    second.told(stored=True)
    last = record_of(log.telling(closing=True))
    assert (last.sequence, last.closing, last.drops) == (2, True, (Drop("t", "e", "dnt", 0, 3),))


ROWS = st.builds(Dropped, st.sampled_from("ab"), st.sampled_from("xy"), st.sampled_from(["dnt", "gpc"]))
# Whether Kafka has a record, and whether its client heard of it.
FATES = st.sampled_from([(True, True), (True, False), (False, False)])
STEPS = st.one_of(st.lists(ROWS, min_size=1, max_size=5), FATES)


@given(st.lists(STEPS, max_size=40))
def test_whatever_kafka_does_the_records_add_up(steps: list[Any]) -> None:
    clock = ManualClock(now_ms=1)
    log = DropLog(Settings(), collector="c", clock=clock)
    counts: Counter[Dropped] = Counter()
    topic: list[Drops] = []
    for step in [*steps, (True, True)]:
        clock.advance(1.0)
        if isinstance(step, list):
            log.count(step)
            counts.update(step)
        elif telling := log.telling():
            stored, heard = step
            if stored:
                topic.append(record_of(telling))
            telling.told(stored=heard)
    topic.append(record_of(log.telling(closing=True)))
    # As the views read it: of two records with one sequence the later one.
    latest = {each.sequence: each for each in sorted(topic, key=lambda each: each.until)}
    assert sorted(latest) == list(range(len(latest)))
    told: Counter[Dropped] = Counter()
    for each in latest.values():
        for row in each.drops:
            told[Dropped(row.tenant, row.event, row.reason)] += row.events
    assert +told == counts
    last = latest[max(latest)]
    assert last.total == counts.total()
    assert {Dropped(r.tenant, r.event, r.reason): r.total for r in last.drops} == counts
    between = [latest[n] for n in sorted(latest)]
    assert all(before.until == after.since for before, after in itertools.pairwise(between))
