"""Which offsets of an outcome are duplicates, from its runs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cli.tail.repeats import is_repeat, repeats_span
from streams.records import Outcome, OutcomeKind, runs_of

_KINDS: st.SearchStrategy[dict[int, OutcomeKind]] = st.dictionaries(
    st.integers(0, 40), st.sampled_from(["curated", "duplicate", "dead_letter"]), min_size=1
)


def _outcome(kinds: dict[int, OutcomeKind]) -> Outcome:
    return Outcome(0, min(kinds), max(kinds), runs_of(sorted(kinds), kinds), b"", {})


@given(_KINDS)
def test_every_record_is_known_for_what_it_became(kinds: dict[int, OutcomeKind]) -> None:
    outcome = _outcome(kinds)
    assert {offset for offset in kinds if is_repeat(outcome, offset)} == {
        offset for offset, kind in kinds.items() if kind == "duplicate"
    }


@given(_KINDS)
def test_all_duplicates_lie_in_the_span_and_it_begins_with_one(kinds: dict[int, OutcomeKind]) -> None:
    repeats = [offset for offset, kind in kinds.items() if kind == "duplicate"]
    span = repeats_span(_outcome(kinds))
    if not repeats:
        assert span is None
        return
    assert span is not None
    assert span[0] == min(repeats)
    assert max(repeats) <= span[1] <= max(kinds)
    assert not any(kinds.get(offset, "duplicate") != "duplicate" for offset in range(max(repeats), span[1] + 1))
