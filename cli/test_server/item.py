"""One event and what became of it, in the form that `/test/…` answers with. Decides nothing."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from cli.tail.sighting import Sighting, fault_document, in_words, iso

Kind = Literal["good", "bad", "duplicate"]
# `curated`, `duplicate` and `dead_letter` are the stream's words, `rejected` and `consent_dropped` the collector's.
Outcome = Literal["curated", "duplicate", "dead_letter", "rejected", "consent_dropped"]

_KINDS: dict[Outcome, Kind] = {
    "curated": "good",
    "duplicate": "duplicate",
    "dead_letter": "bad",
    "rejected": "bad",
    "consent_dropped": "bad",
}


class Item(Struct, frozen=True):
    """`event` is decoded as far as it can be; `raw` is what the client sent, or the part that is this event.

    `code`, `field` and `message` say in short what is wrong with a bad one; `faults` is the contract's full account.
    """

    outcome: Outcome
    received_at: str
    tenant: str
    contract: str
    event: dict[str, Any]
    raw: str
    code: str = ""
    field: str = ""
    message: str = ""
    faults: list[dict[str, str]] = []

    @property
    def kind(self) -> Kind:
        return _KINDS[self.outcome]

    @property
    def view(self) -> dict[str, Any]:
        """What examples are compared with: the event's fields, and what became of it beside them."""
        return self.event | {
            "outcome": self.outcome,
            "tenant": self.tenant,
            "contract": self.contract,
            "code": self.code,
            "field": self.field,
            "message": self.message,
            "faults": self.faults,
        }


def from_sighting(sighting: Sighting, *, raw: str) -> Item:
    """What the stream step made of a record."""
    first = sighting.faults[0] if sighting.faults else None
    return Item(
        outcome=sighting.outcome,
        received_at=iso(sighting.arrival_ms),
        tenant=sighting.tenant,
        contract=f"{sighting.event}:{sighting.version}" if sighting.version else sighting.event,
        event=sighting.fields,
        raw=raw,
        code=first.code if first else "",
        field=first.path if first else "",
        message=in_words(first) if first else "",
        faults=[fault_document(fault) for fault in sighting.faults],
    )
