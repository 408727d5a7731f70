"""One event with its outcome, whichever topic told of it: curated record, dead letter, or raw record of a duplicate.

Decodes leniently: a dead letter may hold anything, and is shown as far as it can be read. Judges nothing.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import fastavro
import msgspec

from core.errors import InputError
from schemas import envelope, framing
from schemas.codegen.compiled import DECODE_ERRORS
from schemas.faults import Fault
from streams.records import OutcomeKind, decode_dead_letter

_TEXTS = (
    *("event_id", "event_type", "name", "visitor_id", "session_id", "user_id"),
    *("url", "referrer", "consent_state"),
)


@dataclass(frozen=True, slots=True)
class Sighting:
    """`event` is the contract it was judged by or named; `fields` has the event's own fields as JSON values.

    Times are epoch milliseconds.
    """

    outcome: OutcomeKind
    raw_partition: int
    raw_offset: int
    arrival_ms: int
    tenant: str = ""
    event: str = ""
    version: int = 0
    fields: dict[str, Any] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    def text(self, name: str) -> str:
        """A text field of the event, "" where there is none."""
        value = self.fields.get(name)
        return value if isinstance(value, str) else ""

    @property
    def event_id(self) -> str:
        return self.text("event_id")

    @property
    def label(self) -> str:
        """What people call the event: the name of a custom event, else its type."""
        return self.text("name") or self.event or self.text("event_type")

    def document(self) -> dict[str, Any]:
        """The form in which programs get it."""
        return {
            "arrival_at": iso(self.arrival_ms),
            "outcome": self.outcome,
            "raw": {"partition": self.raw_partition, "offset": self.raw_offset},
            "tenant": self.tenant,
            "contract": {"event": self.event, "version": self.version},
            "event": self.fields,
            "faults": [fault_document(fault) for fault in self.faults],
        }


def in_words(fault: Fault) -> str:
    """What was expected and what was there; the path stands elsewhere."""
    return f"expected {fault.expected}" + (f", got {fault.got}" if fault.got else "")


def fault_document(fault: Fault) -> dict[str, str]:
    return {
        "code": fault.code,
        "path": fault.path,
        "expected": fault.expected,
        "got": fault.got,
        "message": str(fault),
    }


def iso(epoch_ms: int) -> str:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_curated(value: bytes) -> Sighting:
    """Raises InputError if `value` is no curated record of this release."""
    schema, at = framing.opened(value, "event")
    row: dict[str, Any] = fastavro.schemaless_reader(io.BytesIO(value[at:]), schema.plain)  # type: ignore[assignment]
    fields = {name: row[name] for name in _TEXTS}
    fields["occurred_at"] = iso(row["occurred_at"])
    fields["properties"] = _json(row["properties"].encode())
    fields["context"] = _json(row["context"].encode())
    if row.get("extra"):
        fields["extra"] = _json(row["extra"].encode())
    return Sighting(
        *("curated", row["raw_partition"], row["raw_offset"], row["arrival_at"]),
        *(row["tenant"], row["event"], row["version"], fields),
    )


def from_dead_letter(value: bytes) -> Sighting:
    """Raises InputError if `value` is no dead-letter record of this release."""
    letter = decode_dead_letter(value)
    _, fields = _opened(letter.raw)
    return Sighting(
        "dead_letter",
        letter.raw_partition,
        letter.raw_offset,
        letter.arrival_at,
        letter.tenant,
        letter.event,
        letter.version,
        fields,
        tuple(letter.faults),
    )


def from_raw(outcome: OutcomeKind, partition: int, offset: int, *, arrival_ms: int, value: bytes) -> Sighting:
    """What a raw record was, given what became of it."""
    found, fields = _opened(value)
    if found is None:
        return Sighting(outcome, partition, offset, arrival_ms)
    return Sighting(
        outcome, partition, offset, arrival_ms, found.head.tenant, found.head.event, found.head.version, fields
    )


def _opened(raw: bytes) -> tuple[envelope.Envelope | None, dict[str, Any]]:
    try:
        found = envelope.decode(raw)
    except InputError:
        return None, {}
    payload = _json(found.payload)
    fields = payload if isinstance(payload, dict) else {}
    occurred_at = fields.get("occurred_at")
    if isinstance(occurred_at, int) and abs(occurred_at) < 2**53:
        fields["occurred_at"] = _iso_or_number(occurred_at)
    fields.pop("sent_at", None)
    return found, fields


def _iso_or_number(epoch_ms: int) -> str | int:
    try:
        return iso(epoch_ms)
    except (ValueError, OverflowError, OSError):
        return epoch_ms


def _json(text: bytes) -> Any:
    """The value, or the text itself where it is no JSON."""
    try:
        return msgspec.json.decode(text)
    except DECODE_ERRORS:
        return text.decode(errors="replace")
