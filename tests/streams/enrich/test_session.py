"""The session of events without one: the same wherever and whenever it is worked out."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from streams.enrich.facts import Facts
from streams.enrich.session import Sessions

NOON = 1_780_012_800_000  # 2026-05-29T00:00:00Z
DAY = 86_400_000


def of(*batch: Facts) -> list[str]:
    return Sessions()(list(batch))


def at(ms: int, visitor: str = "v", tenant: str = "demo") -> Facts:
    return Facts(visitor_id=visitor, tenant=tenant, occurred_at_ms=ms)


def test_one_a_visitor_and_utc_day() -> None:
    midnight = NOON - NOON % DAY
    first, last, before, after = of(at(midnight), at(midnight + DAY - 1), at(midnight - 1), at(midnight + DAY))
    assert first == last
    assert len({first, before, after}) == 3


def test_visitors_and_tenants_have_their_own() -> None:
    assert len(set(of(at(NOON), at(NOON, "w"), at(NOON, tenant="other"), at(NOON, "demo", "v")))) == 4


def test_the_rule_is_frozen() -> None:
    assert of(at(NOON)) == ["c6927bd7-2f1b-5ba6-8aba-948e9761818f"]


def test_nobody_has_no_session() -> None:
    assert of(at(NOON, visitor="")) == [""]


def test_order_and_batches_change_nothing() -> None:
    events = [at(NOON), at(NOON + 5, "w"), at(NOON - DAY), at(NOON + 7)]
    alone = {id(event): of(event)[0] for event in events}
    for order in permutations(events):
        assert of(*order) == [alone[id(event)] for event in order]


@given(st.integers(-(2**63), 2**63 - 1), st.text(), st.text(min_size=1))
def test_any_time_and_visitor_has_one(ms: int, tenant: str, visitor: str) -> None:
    (session,) = of(at(ms, visitor, tenant))
    assert len(session) == 36
