"""The table of pairs: reasons in both directions, and the verdict in every mode."""

from __future__ import annotations

from typing import get_args

import pytest

from schemas.compatibility import MODES, Mode, Rule, can_read, check
from tests.schemas.compatibility.pairs import BY_RULE, PAIRS, Faults, Pair

EACH = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)


def faults(reader: object, writer: object) -> Faults:
    return frozenset((found.rule, found.path) for found in can_read(reader, writer))


def accepted(mode: Mode, pair: Pair) -> bool:
    return {
        "BACKWARD": not pair.backward,
        "FORWARD": not pair.forward,
        "FULL": not pair.backward and not pair.forward,
        "NONE": True,
    }[mode.removesuffix("_TRANSITIVE")]


@EACH
def test_reasons(pair: Pair) -> None:
    assert faults(pair.new, pair.old) == pair.backward
    assert faults(pair.old, pair.new) == pair.forward


@EACH
def test_a_schema_reads_its_own_data(pair: Pair) -> None:
    assert can_read(pair.new, pair.new) == []
    assert can_read(pair.old, pair.old) == []


@EACH
def test_verdict_in_each_mode(pair: Pair) -> None:
    verdicts = {mode: not check(mode, pair.new, [(1, pair.old)]) for mode in MODES}
    assert verdicts == {mode: accepted(mode, pair) for mode in MODES}


@EACH
def test_only_transitive_modes_look_behind_the_latest_version(pair: Pair) -> None:
    verdicts = {mode: not check(mode, pair.new, [(1, pair.old), (2, pair.new)]) for mode in MODES}
    assert verdicts == {mode: accepted(mode, pair) if mode.endswith("_TRANSITIVE") else True for mode in MODES}


@EACH
def test_a_message_names_the_field_and_both_forms(pair: Pair) -> None:
    for found in can_read(pair.new, pair.old):
        assert found.message.startswith(
            "the schema itself: " if found.path == "$" else f"`{found.path.lstrip('$.')}`: "
        )
        assert found.reader
        assert found.writer


def test_the_table_is_as_wide_as_it_says() -> None:
    assert len(PAIRS) == sum(map(len, BY_RULE.values())), "names are unique within a rule"
    assert len(PAIRS) - len(BY_RULE["same primitive type, or promotable"]) >= 120, "beside the grid of primitives"
    directions = [faults for pair in PAIRS.values() for faults in (pair.backward, pair.forward)]
    assert {rule for faults in directions for rule, _ in faults} == set(get_args(Rule))
