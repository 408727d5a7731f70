"""The store: bounded, counted, and selected from."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.test_server import selection
from cli.test_server.item import Outcome
from cli.test_server.store import Store
from core.errors import UsageError
from tests.test_server.items import item

_OUTCOMES: st.SearchStrategy[list[Outcome]] = st.lists(
    st.sampled_from(["curated", "duplicate", "dead_letter", "rejected", "consent_dropped"]), max_size=20
)


@given(_OUTCOMES, st.integers(1, 8))
def test_the_latest_stay_and_all_are_counted(outcomes: list[Outcome], most: int) -> None:
    store = Store(max_events=most)
    for number, outcome in enumerate(outcomes):
        store.add([item(outcome, event_id=str(number))])
    counts = store.counts()
    assert [each.event["event_id"] for each in store.items()] == [str(n) for n in range(len(outcomes))][-most:]
    assert counts["total"] == len(outcomes) == counts["good"] + counts["bad"] + counts["duplicate"]
    assert counts["bad"] == counts["dead_letter"] + counts["rejected"] + counts["consent_dropped"]
    assert counts["good"] == outcomes.count("curated")
    assert counts["duplicate"] == outcomes.count("duplicate")
    assert counts["forgotten"] == max(0, len(outcomes) - most)
    store.reset()
    assert set(store.counts().values()) == {0}
    assert list(store.items()) == []


def test_waiting_ends_with_the_next_event_or_the_time() -> None:
    async def scenario() -> tuple[bool, bool]:
        store = Store(max_events=5)
        early = await store.wait_for_more(timeout_s=0.01)
        waiting = asyncio.create_task(store.wait_for_more(timeout_s=5))
        await asyncio.sleep(0)
        store.add([item()])
        return early, await waiting

    assert asyncio.run(scenario()) == (False, True)


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ({}, ["1", "2", "3"]),
        ({"event": "page_view"}, ["1", "3"]),
        ({"event": "custom_event"}, ["2"]),
        ({"event": "signup"}, ["2"]),
        ({"name": "signup"}, ["2"]),
        ({"name": ""}, ["1", "3"]),
        ({"tenant": "acme"}, ["3"]),
        ({"visitor_id": "v-9", "event_id": "3"}, ["3"]),
        ({"session_id": "s"}, []),
        ({"limit": "2"}, ["2", "3"]),
        ({"limit": "0"}, []),
        ({"limit": "99", "event": "page_view"}, ["1", "3"]),
    ],
)
def test_filters(query: dict[str, str], ids: list[str]) -> None:
    items = [
        item(event_id="1"),
        item(event_id="2", event_type="custom_event", name="signup", contract="signup:2"),
        item(event_id="3", tenant="acme", visitor_id="v-9"),
    ]
    assert [each.event["event_id"] for each in selection.parse(query).of(items)] == ids


@pytest.mark.parametrize("query", [{"visitor": "v"}, {"limit": "-1"}, {"limit": "x"}, {"limit": ""}])
def test_a_filter_that_is_none_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        selection.parse(query)
