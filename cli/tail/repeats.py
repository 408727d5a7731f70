"""Which raw offsets of an outcome are duplicates. A run ends where the next one begins: between them lie no records."""

from __future__ import annotations

from streams.records import Outcome


def is_repeat(outcome: Outcome, offset: int) -> bool:
    """Whether the record at `offset`, one of the outcome's, is a duplicate."""
    kind = ""
    for run in outcome.runs:
        if run.first > offset:
            break
        kind = run.outcome
    return kind == "duplicate"


def repeats_span(outcome: Outcome) -> tuple[int, int] | None:
    """First and last raw offset between which all duplicates lie; None if there are none."""
    ends = [run.first - 1 for run in outcome.runs[1:]] + [outcome.last]
    spans = [(run.first, end) for run, end in zip(outcome.runs, ends, strict=True) if run.outcome == "duplicate"]
    return (spans[0][0], spans[-1][1]) if spans else None
