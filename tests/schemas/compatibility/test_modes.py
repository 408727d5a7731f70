"""Which versions a mode compares, in which direction, and what a violation says."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.compatibility import MODES, Mode, check
from schemas.compatibility.advice import instead, why
from tests.schemas.compatibility.pairs import enum, field, of, record

# Each step is fine with its neighbours, the last is not with the first: `a` loses its default, then goes.
FIRST = record(field("a", "int"))
SECOND = record(field("a", "int", default=0))
THIRD = record()


def found(mode: Mode, candidate: Any, *earlier: Any) -> list[tuple[str, int, str]]:
    violations = check(mode, candidate, list(enumerate(earlier, 1)))
    return [(each.direction, each.version, each.incompatibility.path) for each in violations]


@pytest.mark.parametrize("mode", MODES)
def test_a_first_version_is_compatible(mode: Mode) -> None:
    assert check(mode, FIRST, []) == []


def test_transitive_modes_look_at_all_versions() -> None:
    assert found("FORWARD", THIRD, FIRST, SECOND) == []
    assert found("FORWARD_TRANSITIVE", THIRD, FIRST, SECOND) == [("FORWARD", 1, "$.a")]
    assert found("FULL", THIRD, FIRST, SECOND) == []
    assert found("FULL_TRANSITIVE", THIRD, FIRST, SECOND) == [("FORWARD", 1, "$.a")]
    assert found("BACKWARD_TRANSITIVE", FIRST, THIRD, SECOND) == [("BACKWARD", 1, "$.a")]
    assert found("BACKWARD", FIRST, THIRD, SECOND) == []
    assert found("NONE", FIRST, THIRD, SECOND) == []


def test_directions() -> None:
    new, old = of("long"), of("int")
    assert found("BACKWARD", new, old) == []
    assert found("FORWARD", new, old) == [("FORWARD", 1, "$.a")]
    assert found("BACKWARD", old, new) == [("BACKWARD", 1, "$.a")]
    assert found("FULL", of("string"), old) == [("BACKWARD", 1, "$.a"), ("FORWARD", 1, "$.a")]


def test_a_violation_says_who_cannot_read_whom() -> None:
    backward, forward = check("FULL", of(enum("x")), [(7, of(enum("y")))])
    assert str(backward).startswith("`a`: the writer may write `y`")
    assert str(backward).endswith("(this version cannot read data of version 7)")
    assert str(forward).endswith("(its data cannot be read by version 7)")
    assert "version 7" in why(backward)
    assert "version 7" in why(forward)
    assert why(backward) != why(forward)
    assert "default" in instead(forward)
