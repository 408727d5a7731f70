"""Plans in commit metadata and the tokens made from them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvariantError, StateError
from sinks.plan import Plan, Source

_MAX_METADATA = 4_095  # characters that Kafka keeps of a commit's metadata
OFFSETS = st.integers(0, 2**63 - 1)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    first = draw(OFFSETS)
    last = draw(st.integers(first, 2**63 - 1))
    return Plan(
        first, last, draw(st.integers(1, last - first + 1)), draw(st.integers(1, 1_000)), draw(st.integers(0, 9))
    )


@given(plans())
def test_a_plan_is_read_back(plan: Plan) -> None:
    text = str(plan)
    assert Plan.parse(text) == plan
    assert len(text) <= _MAX_METADATA
    assert text.isascii()


@given(plans())
def test_the_next_attempt_is_for_the_same_rows(plan: Plan) -> None:
    following = plan.next_attempt()
    assert (following.first, following.last, following.rows) == (plan.first, plan.last, plan.rows)
    assert following.attempt == plan.attempt + 1
    assert following.generation == plan.generation


@pytest.mark.parametrize("metadata", [None, ""])
def test_no_metadata_is_no_plan(metadata: str | None) -> None:
    assert Plan.parse(metadata) is None


@pytest.mark.parametrize(
    "metadata",
    [
        "v3",
        "v4;1;2;2;1;0",
        "v3;1;2;2;1",
        "v3;1;2;2;1;",
        "v3;1;2;2;1;0;",
        " v3;1;2;2;1;0",
        "v3;1;2;2;1;0\n",
        "v3;-1;2;2;1;0",
        "v3;+1;2;2;1;0",
        "v3;01;2;2;1;0",
        "v3;1;٢;2;1;0",
        "v3;1;2;2;x;0",
        "v3;2;1;1;1;0",
        "v3;1;2;3;1;0",
        "v3;1;2;0;1;0",
        "v3;1;2;2;0;0",
        "v3;1;2;2;1;" + "9" * 5_000,
        "something else",
        '{"v":1}',
    ],
    ids=lambda text: repr(text)[:30],
)
def test_other_metadata_is_refused(metadata: str) -> None:
    with pytest.raises(InvariantError, match=r"no plan|not a plan"):
        Plan.parse(metadata)


@pytest.mark.parametrize("metadata", ["v1;1;2;2;1", "v2;1;2;2;1;3"])
def test_a_plan_whose_rows_cannot_be_counted_is_refused(metadata: str) -> None:
    with pytest.raises(StateError, match="earlier release"):
        Plan.parse(metadata)


@given(st.text(max_size=30) | st.from_regex(r"v3(;-?\d{1,3}){3,6}", fullmatch=True))
def test_what_is_taken_is_what_would_be_written(metadata: str) -> None:
    try:
        plan = Plan.parse(metadata)
    except (InvariantError, StateError):
        return
    assert str(plan or "") == metadata


# As Kafka makes them: base64url.
KAFKA_IDS = st.text("ABCabc019_-", min_size=1, max_size=22)
TOKENS = st.tuples(KAFKA_IDS, KAFKA_IDS, st.integers(0, 999), plans(), st.sampled_from(["events_log", "other_log"]))


def token(parts: tuple[str, str, int, Plan, str]) -> str:
    cluster, topic, partition, plan, table = parts
    return Source(cluster, topic).token(partition, plan, table)


@given(TOKENS, TOKENS, st.sets(st.integers(0, 4)))
def test_tokens_differ_whenever_a_part_differs(one: Any, other: Any, taken: set[int]) -> None:
    mixed = tuple(other[i] if i in taken else one[i] for i in range(5))
    # The number of rows follows from the offsets: they name the same records.
    same = [
        (c, t, p, plan.first, plan.last, plan.attempt, plan.generation, table) for c, t, p, plan, table in (one, mixed)
    ]
    assert (token(one) == token(mixed)) == (same[0] == same[1])


def test_each_part_counts() -> None:
    base = ("c", "t", 1, Plan(10, 20, 5, 1), "events_log")
    others = [
        ("C", "t", 1, Plan(10, 20, 5, 1), "events_log"),
        ("c", "T", 1, Plan(10, 20, 5, 1), "events_log"),
        ("c", "t", 2, Plan(10, 20, 5, 1), "events_log"),
        ("c", "t", 1, Plan(11, 20, 5, 1), "events_log"),
        ("c", "t", 1, Plan(10, 21, 5, 1), "events_log"),
        ("c", "t", 1, Plan(10, 20, 5, 2), "events_log"),
        ("c", "t", 1, Plan(10, 20, 5, 1, 1), "events_log"),
        ("c", "t", 1, Plan(10, 20, 5, 1), "other_log"),
    ]
    assert len({token(parts) for parts in [base, *others]}) == len(others) + 1
