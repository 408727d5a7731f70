"""Which events a filter lets through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.tail.filters import Filter
from cli.tail.sighting import Sighting

_SEEN = Sighting(
    "curated",
    *(0, 1, 2, "acme", "custom_event", 1),
    {"event_id": "e-1", "event_type": "custom_event", "name": "signup", "visitor_id": "v-1"},
)
_WORD = st.sampled_from(["", "a", "b"])


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(),
        Filter(tenant="acme"),
        Filter(event="custom_event"),
        Filter(event="signup"),
        Filter(event_id="e-1", visitor="v-1"),
        Filter(outcomes=frozenset({"curated"})),
    ],
)
def test_what_fits_passes(wanted: Filter) -> None:
    assert wanted.wants(_SEEN)


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(tenant="acm"),
        Filter(event="page_view"),
        Filter(event_id="e-2", visitor="v-1"),
        Filter(event_id="e-1", visitor="v-2"),
        Filter(outcomes=frozenset({"duplicate", "dead_letter"})),
    ],
)
def test_one_condition_that_fails_is_enough(wanted: Filter) -> None:
    assert not wanted.wants(_SEEN)


@given(_WORD, _WORD, _WORD, _WORD)
def test_a_condition_is_equality_and_an_empty_one_is_none(tenant: str, visitor: str, asked: str, other: str) -> None:
    seen = Sighting("duplicate", 0, 1, 2, tenant, "page_view", 0, {"visitor_id": visitor})
    assert Filter(tenant=asked, visitor=other).wants(seen) == (asked in {"", tenant} and other in {"", visitor})


def test_fields_that_are_no_text_match_nothing() -> None:
    assert not Filter(event_id="1").wants(Sighting("dead_letter", 0, 1, 2, fields={"event_id": 1}))
