"""What may be stored at all: consent first, then what the browser asks for, and which events are essential.

Fail-closed: whatever is not clearly allowed is dropped, before anything is written.
"""

from __future__ import annotations

from typing import Literal

from collector.contract import Event
from collector.redaction import Redaction
from core.settings import Settings

# Why an event was not stored though it was valid; the `code` of its verdict.
Drop = Literal["no_consent", "dnt", "gpc"]


class Policy:
    """The settings' rules. Essential events are stored with the consent they came with, whatever it is."""

    def __init__(self, settings: Settings) -> None:
        self._essential = frozenset(words(settings.essential_events))
        self._dnt = settings.dnt == "drop"
        self._gpc = settings.gpc == "drop"

    def drop(self, event: Event, *, dnt: bool, gpc: bool) -> Drop | None:
        """Why `event` must not be stored, or None."""
        if self._essential and (event.name or event.event_type) in self._essential:
            return None
        if event.consent_state != "granted":
            return "no_consent"
        if gpc and self._gpc:
            return "gpc"
        if dnt and self._dnt:
            return "dnt"
        return None


def redaction(settings: Settings) -> Redaction:
    """What the settings want taken out of events."""
    return Redaction(
        parameters=words(settings.redact_parameters),
        properties=words(settings.redact_properties),
        secrets=[settings.bootstrap_key],
    )


def words(text: str) -> list[str]:
    """The parts of a comma-separated setting."""
    return [word for part in text.split(",") if (word := part.strip())]
