"""Fates to text and JSON. Text of clients is escaped before it is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import click
from rich.cells import cell_len

from cli.send.advice import advice
from cli.send.fate import REFUSED, UNSETTLED, Fate, State
from cli.tail.render import reason
from cli.tail.safe_text import json_line, shown, wrapped
from cli.tail.sighting import fault_document
from core.errors import ExitCode

# Events that ended well are listed up to this many; those that did not, always.
_LISTED = 20
_WORDS: dict[State, str] = {
    "stored": "stored",
    "duplicate": "duplicate",
    "dead_letter": "dead letter",
    "rejected": "rejected",
    "consent_dropped": "dropped: no consent",
    "not_taken": "not taken",
    "accepted": "accepted",
    "no_outcome": "accepted, no outcome yet",
    "no_row": "curated, no row yet",
}
_INDENT = "   "
_FINE: frozenset[State] = frozenset({"stored", "accepted"})


def exit_code(fates: Sequence[Fate], *, allow_duplicate: bool) -> ExitCode:
    states = {fate.state for fate in fates}
    if states & REFUSED or ("duplicate" in states and not allow_duplicate):
        return ExitCode.DIFFERENCE
    return ExitCode.UNAVAILABLE if states & UNSETTLED else ExitCode.OK


def as_json(fate: Fate) -> str:
    return json_line(_document(fate))


def as_text(fates: Sequence[Fate], *, width: int) -> Iterator[str]:
    """Lines for people of at most `width` cells, the sum last."""
    listed = 0
    for fate in fates:
        if fate.state in _FINE:
            listed += 1
            if listed > _LISTED:
                continue
        yield from _lines(fate, width)
    if listed > _LISTED:
        yield f"… and {listed - _LISTED} more like these"
    counts = Counter(_WORDS[fate.state] for fate in fates)
    total = f"{len(fates)} sent: " + ", ".join(f"{count} {word}" for word, count in counts.items())
    yield from wrapped(total, width=width)


def _lines(fate: Fate, width: int) -> Iterator[str]:
    state = fate.state
    colour = "green" if state in _FINE else "yellow" if state in UNSETTLED | {"duplicate"} else "red"
    name = " ".join(filter(None, (shown(fate.outgoing.label), shown(fate.outgoing.event_id)))) or "(no event)"
    head = f"{fate.index + 1}. {click.style(_WORDS[state], fg=colour, bold=True)}"
    together = cell_len(f"{fate.index + 1}. {_WORDS[state]}  {name}") <= width
    yield f"{head}  {name}" if together else head
    for line in filter(None, ("" if together else name, *_facts(fate), advice(fate))):
        yield from wrapped(line, width=width, indent=_INDENT)


def _facts(fate: Fate) -> Iterator[str]:
    if fate.state == "rejected":
        verdict = fate.verdict
        where = f" at {verdict.field}" if verdict.field else ""
        yield shown(f"{verdict.code}{where}: {verdict.message}")
    if fate.state == "not_taken":
        yield shown(fate.verdict.message)
    seen = fate.sighting
    if seen is None:
        return
    contract = f", contract {shown(seen.event)}:{seen.version}" if seen.version else ""
    yield f"{_OUTCOMES[seen.outcome]} after {fate.outcome_ms} ms ({fate.place}{contract})"
    yield from map(reason, seen.faults)
    if fate.state == "duplicate":
        yield _first(fate)
    if fate.row_ms is not None:
        yield f"row visible in ClickHouse after {fate.row_ms} ms"
    yield from (f"counted in {shown(str(entry))}" for entry in fate.rollups)


_OUTCOMES = {"curated": "curated", "duplicate": "recognised as a duplicate", "dead_letter": "dead-lettered"}


def _first(fate: Fate) -> str:
    if fate.first is None or fate.place is None:
        return "the first one has no row (yet)"
    seconds = max(0, fate.place.arrival_ms - fate.first.arrival_ms) / 1000
    return f"the first one is {fate.first}, {seconds:.1f} s earlier"


def _document(fate: Fate) -> dict[str, Any]:
    seen, first = fate.sighting, fate.first
    document: dict[str, Any] = {
        "index": fate.index,
        "event_id": fate.outgoing.event_id or None,
        "event": fate.outgoing.label,
        "state": fate.state,
        "verdict": fate.verdict.verdict,
        "faults": [fault_document(fault) for fault in seen.faults] if seen else [],
        "raw": {"partition": seen.raw_partition, "offset": seen.raw_offset} if seen else None,
        "first": {"partition": first.partition, "offset": first.offset} if first else None,
        "outcome_ms": fate.outcome_ms if seen else None,
        "row_ms": fate.row_ms,
        "rollups": fate.rollups,
        "advice": advice(fate),
    }
    if fate.state == "rejected":
        verdict = fate.verdict
        document["faults"] = [{"code": verdict.code, "path": verdict.field or "$", "message": verdict.message}]
    return document
