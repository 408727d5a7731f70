"""Assertions by example: what should have been received, held against what was. Waiting is the caller's."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from cli.test_server.item import Item, Kind
from cli.test_server.matching import Difference, assign, differences, leaves
from cli.test_server.store import Store
from core.errors import UsageError

# Each example is compared with every event there is, and the collector waits meanwhile.
_MAX_EXAMPLES = 200
_MAX_WAIT_MS = 60_000

Example = dict[str, Any]
Examples = Annotated[list[Example], Meta(max_length=_MAX_EXAMPLES)]
CountName = Literal["total", "good", "bad", "duplicate", "dead_letter", "rejected", "consent_dropped"]


class Assertion(Struct, forbid_unknown_fields=True):
    """Each example needs an event of its own among those of its kind; `counts` must be equal."""

    good: Examples = []
    bad: Examples = []
    duplicates: Examples = []
    counts: dict[CountName, Annotated[int, Meta(ge=0)]] = {}
    within_ms: Annotated[int, Meta(ge=0, le=_MAX_WAIT_MS)] = 0

    def examples(self) -> list[tuple[Kind, list[Example]]]:
        return [("good", self.good), ("bad", self.bad), ("duplicate", self.duplicates)]


_DECODER = msgspec.json.Decoder(Assertion)


def parse(body: bytes) -> Assertion:
    """Raises UsageError if `body` is no assertion, or one that asserts nothing."""
    try:
        found = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"no assertion: {error}") from None
    if not (found.counts or any(examples for _, examples in found.examples())):
        raise UsageError("the assertion asserts nothing; give good, bad, duplicates or counts")
    return found


def failures(assertion: Assertion, store: Store) -> list[dict[str, Any]]:
    """What does not hold, each with a sentence; none if all of it does."""
    found: list[dict[str, Any]] = []
    for kind, examples in assertion.examples():
        if examples:
            found += _unmatched(kind, examples, store)
    actual = store.counts()
    for name, expected in assertion.counts.items():
        if actual[name] != expected:
            message = f"{name} should be {expected}, and is {actual[name]}"
            found.append({"count": name, "expected": expected, "actual": actual[name], "message": message})
    return found


def _unmatched(kind: Kind, examples: list[Example], store: Store) -> list[dict[str, Any]]:
    views = [item.view for item in store.items(kind)]
    taken = assign(len(examples), len(views), fits=lambda e, c: not differences(examples[e], views[c]))
    spare = set(range(len(views))).difference(taken.values())
    rivals = [item for at, item in enumerate(store.items(kind)) if at in spare]
    rivals += [item for item in store.items() if item.kind != kind]
    return [
        _explained(kind, example, rivals or list(store.items(kind)))
        for at, example in enumerate(examples)
        if at not in taken
    ]


def _explained(kind: Kind, example: Example, rivals: list[Item]) -> dict[str, Any]:
    """The failure of one example beside the event that comes nearest to it."""
    failure: dict[str, Any] = {"kind": kind, "expected": example}
    if not rivals:
        return failure | {"nearest": None, "differences": [], "message": "no event was received"}
    # On a tie one of the right kind is the better explanation; among those the latest.
    nearest = min(reversed(rivals), key=lambda item: (len(differences(example, item.view)), item.kind != kind))
    found = differences(example, nearest.view)
    return failure | {
        "nearest": nearest,
        "differences": [_difference(each) for each in found],
        "message": _sentence(kind, example, nearest, found),
    }


def _difference(found: Difference) -> dict[str, Any]:
    return {"path": found.path, "expected": found.expected} | ({} if found.absent else {"actual": found.actual})


def _sentence(kind: Kind, example: Example, nearest: Item, found: list[Difference]) -> str:
    if len(found) >= leaves(example):
        return f"no {kind} event is like this"
    if not found and nearest.kind == kind:
        return f"fewer {kind} events like this than expected"
    where = "" if nearest.kind == kind else f" is {_because(nearest)}"
    if not found:
        return f"the event that matches{where}"
    paths = ", ".join(each.path for each in found)
    return f"the nearest event{where}{' and' if where else ''} differs in {paths}"


def _because(item: Item) -> str:
    why = f" ({item.code} at {item.field or '$'}: {item.message})" if item.code else ""
    return f"{item.kind}{why}"
