"""A tenant that sends too much is led around the others, and comes back."""

from __future__ import annotations

import pytest

from collector.flood import Flood
from collector.memory import MemoryPublisher
from collector.publisher import Record
from core.clock import ManualClock
from tests.collector.conftest import Collect, event

RATE = 10  # so 50 at once


@pytest.fixture
def flood(clock: ManualClock) -> Flood:
    return Flood(RATE, clock)


def batch(*tenants: str, historic: bool = False) -> list[Record]:
    return [Record(f"{tenant}|v-{at % 3}".encode(), b"%d" % at, historic) for at, tenant in enumerate(tenants)]


def lanes(flood: Flood, *tenants: str) -> list[bool]:
    return [record.historic for record in flood.routed(batch(*tenants))]


def test_a_burst_stays_and_a_flood_is_diverted(flood: Flood, clock: ManualClock) -> None:
    assert not any(lanes(flood, *["a"] * 50))
    clock.advance(1)
    assert not any(lanes(flood, *["a"] * 10)), "at the rate"
    assert all(lanes(flood, "a")), "above it"


def test_nothing_but_the_lane_changes(flood: Flood) -> None:
    records = batch(*["a"] * 51, "b")
    routed = flood.routed(records)
    assert [record[:2] for record in routed] == [record[:2] for record in records]


def test_others_are_not_touched(flood: Flood) -> None:
    assert all(lanes(flood, *["a"] * 51))
    assert lanes(flood, "b", "a", "b") == [False, True, False]


def test_whoever_is_diverted_comes_back_after_a_calm_minute(flood: Flood, clock: ManualClock) -> None:
    assert all(lanes(flood, *["a"] * 51))
    for _ in range(59):
        clock.advance(1)
        assert all(lanes(flood, *["a"] * 5)), "not yet"
    clock.advance(1)
    assert not any(lanes(flood, *["a"] * 5))


def test_a_flood_that_goes_on_stays_diverted(flood: Flood, clock: ManualClock) -> None:
    for _ in range(200):
        diverted = lanes(flood, *["a"] * 20)
        clock.advance(1)
    assert all(diverted)


def test_imports_take_no_room(flood: Flood) -> None:
    flood.routed(batch(*["a"] * 1_000, historic=True))
    assert not any(lanes(flood, *["a"] * 50))


def test_without_a_rate_nobody_is_diverted(clock: ManualClock) -> None:
    assert not any(lanes(Flood(0, clock), *["a"] * 100_000))


def test_tenants_are_forgotten_but_not_the_diverted(flood: Flood, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.flood._MOST_TENANTS", 3)
    assert all(lanes(flood, *["a"] * 51))
    for name in ("b", "c", "d", "e"):
        assert lanes(flood, name) == [False]
    assert lanes(flood, "a") == [True]
    assert len(flood._tenants) <= 3


def test_the_endpoint_asks(collect: Collect, publisher: MemoryPublisher, monkeypatch: pytest.MonkeyPatch) -> None:
    def all_of_them(_: Flood, records: list[Record]) -> list[Record]:
        return [record._replace(historic=True) for record in records]

    collect(event(event_id="1"))
    monkeypatch.setattr(Flood, "routed", all_of_them)
    collect(event(event_id="2"))
    assert [record.historic for record in publisher.records] == [False, True]
