"""The judge of stream workers notices an outcome that names the wrong first, or none."""

from __future__ import annotations

import pytest

from core.ids import dedupe_id
from core.settings import Settings
from streams.records import Outcome, Run
from tests.oracle.raw_load import RawWorkload
from tests.oracle.stream_judge import Expected, StreamJudge, StreamVerdict

EXPECTED = [
    Expected("curated", "t", "a", None),
    Expected("curated", "t", "b", None),
    Expected("duplicate", "t", "a", None, first=0),
]


@pytest.mark.parametrize(("firsts", "holds"), [([0], True), ([1], False), ([], False)])
def test_the_first_of_a_duplicate(firsts: list[int], holds: bool) -> None:
    ids = dedupe_id("t", "a") + dedupe_id("t", "b")
    outcome = Outcome(0, 0, 2, [Run("curated", 0, 2), Run("duplicate", 2, 1)], ids, {}, firsts)
    verdict = StreamVerdict()
    StreamJudge(Settings(), RawWorkload(0, 1))._outcome(verdict, outcome, EXPECTED, "here")
    assert verdict.holds is holds
    assert holds or "offset 2 repeats raw offset 0" in verdict.ids[0]
