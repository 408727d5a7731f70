"""Which events are wanted: every condition that is given must hold. Decides nothing about where they come from."""

from __future__ import annotations

from dataclasses import dataclass

from cli.tail.sighting import Sighting
from streams.records import OutcomeKind

ALL_OUTCOMES: frozenset[OutcomeKind] = frozenset({"curated", "dead_letter", "duplicate"})


@dataclass(frozen=True, slots=True)
class Filter:
    """An empty condition is none. `event` is a contract, an event type or the name of a custom event."""

    tenant: str = ""
    event: str = ""
    event_id: str = ""
    visitor: str = ""
    outcomes: frozenset[OutcomeKind] = ALL_OUTCOMES

    def wants(self, sighting: Sighting) -> bool:
        return (
            sighting.outcome in self.outcomes
            and self.tenant in {"", sighting.tenant}
            and self.event in {"", sighting.event, sighting.text("event_type"), sighting.text("name")}
            and self.event_id in {"", sighting.event_id}
            and self.visitor in {"", sighting.text("visitor_id")}
        )
