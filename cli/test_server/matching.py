"""Whether a value has the form of an example, and where not.

Objects match if every key of the example matches; further keys do not matter. Arrays match element by element, in
full. Numbers match by value, `true` and `false` only themselves. `null` matches what is absent, null or "": in Sluice
these are one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

_ABSENT = object()
_BLANK = (None, "")


class Difference(NamedTuple):
    """`path` is a JSON path. `absent` tells a missing value from a null one."""

    path: str
    expected: Any
    actual: Any
    absent: bool = False


def differences(example: Any, actual: Any, *, path: str = "$") -> list[Difference]:
    """Every place where `actual` is not as `example`; none if it matches."""
    return list(_differ(example, actual, path))


def leaves(example: Any) -> int:
    """How many places of an example can differ; at least 1."""
    if isinstance(example, dict):
        return max(1, sum(map(leaves, example.values())))
    if isinstance(example, list):
        return max(1, sum(map(leaves, example)))
    return 1


def assign(examples: int, candidates: int, *, fits: Callable[[int, int], bool]) -> dict[int, int]:
    """The most examples that can have a candidate each, none of them twice: example → candidate.

    Taking the first that fits would fail where a later example fits that one alone (Kuhn's augmenting paths).
    """
    taken: dict[int, int] = {}
    edges = [[c for c in range(candidates) if fits(e, c)] for e in range(examples)]
    for example in range(examples):
        _place(example, edges, taken, set())
    return {example: candidate for candidate, example in taken.items()}


def _place(example: int, edges: Sequence[Sequence[int]], taken: dict[int, int], tried: set[int]) -> bool:
    # Each step of the path: an example, and the candidates it has left to try.
    path: list[tuple[int, Iterator[int]]] = [(example, iter(edges[example]))]
    chosen: list[int] = []
    while path:
        _, left = path[-1]
        candidate = next((c for c in left if c not in tried), None)
        if candidate is None:
            path.pop()
            if chosen:
                chosen.pop()
            continue
        tried.add(candidate)
        chosen.append(candidate)
        if candidate not in taken:
            for (owner, _), given in zip(path, chosen, strict=True):
                taken[given] = owner
            return True
        path.append((taken[candidate], iter(edges[taken[candidate]])))
    return False


def _differ(example: Any, actual: Any, path: str) -> Iterator[Difference]:
    if example is None:
        if actual is not _ABSENT and actual not in _BLANK:
            yield Difference(path, None, actual)
    elif actual is _ABSENT:
        yield Difference(path, example, None, absent=True)
    elif isinstance(example, dict) and isinstance(actual, dict):
        for key, wanted in example.items():
            yield from _differ(wanted, actual.get(key, _ABSENT), f"{path}.{key}")
    elif isinstance(example, list) and isinstance(actual, list) and len(example) == len(actual):
        for index, (wanted, got) in enumerate(zip(example, actual, strict=True)):
            yield from _differ(wanted, got, f"{path}[{index}]")
    elif not _equal(example, actual):
        yield Difference(path, example, actual)


def _equal(example: Any, actual: Any) -> bool:
    if isinstance(example, bool) or isinstance(actual, bool):
        return example is actual
    if isinstance(example, (dict, list)) or isinstance(actual, (dict, list)):
        return False
    return bool(example == actual)
