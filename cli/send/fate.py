"""What is known by now of one event that was sent. Where it is learnt is `tracking`'s."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cli.send.door import Verdict
from cli.send.source import Outgoing
from cli.tail.sighting import Sighting

State = Literal[
    "stored",  # its row can be read
    "duplicate",  # an event with its id was there before
    "dead_letter",  # it breaks its contract
    "rejected",  # by the collector
    "consent_dropped",  # by the collector
    "not_taken",  # the collector would not store it until the deadline
    "accepted",  # by the collector; not waited for any longer
    "no_outcome",  # accepted, but the streams said nothing until the deadline
    "no_row",  # curated, but no row until the deadline
]
REFUSED: frozenset[State] = frozenset({"dead_letter", "rejected", "consent_dropped"})
UNSETTLED: frozenset[State] = frozenset({"not_taken", "no_outcome", "no_row"})


@dataclass(frozen=True, slots=True)
class Place:
    """Coordinates in the raw log, and when they were given."""

    partition: int
    offset: int
    arrival_ms: int

    def __str__(self) -> str:
        return f"raw {self.partition}@{self.offset}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a rollup, with its value now. `keys` name it besides tenant and day."""

    view: str
    day: str
    keys: dict[str, str]
    value: int

    def __str__(self) -> str:
        keys = "".join(f" {name}={text}" for name, text in self.keys.items() if text)
        return f"{self.view}: {self.day}{keys}, now {self.value:,}"


@dataclass(slots=True)
class Fate:
    """`outcome_ms` and `row_ms` are from sending to seeing it; `first` is the event that a duplicate repeats."""

    index: int
    outgoing: Outgoing
    verdict: Verdict
    waited: bool = True
    sighting: Sighting | None = None
    outcome_ms: int = 0
    row_ms: int | None = None
    first: Place | None = None
    rollups: list[Entry] = field(default_factory=list)

    @property
    def followed(self) -> bool:
        return self.verdict.verdict == "accepted"

    @property
    def place(self) -> Place | None:
        seen = self.sighting
        return Place(seen.raw_partition, seen.raw_offset, seen.arrival_ms) if seen else None

    @property
    def state(self) -> State:
        match self.verdict.verdict:
            case "rejected":
                return "rejected"
            case "consent_dropped":
                return "consent_dropped"
            case "retry":
                return "not_taken"
        if self.sighting is None:
            return "no_outcome" if self.waited else "accepted"
        if self.sighting.outcome == "curated":
            return "no_row" if self.row_ms is None else "stored"
        return self.sighting.outcome
