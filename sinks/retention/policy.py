"""What the settings ask for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from core.errors import ConfigError
from core.settings import Settings

_TENANT = re.compile(r"\s*(?P<tenant>[^=,\s]+)\s*=\s*(?P<days>[1-9][0-9]{0,4})\s*")
_DAY_H = 24


class Layer(StrEnum):
    ARCHIVE = "archive"
    EVENTS = "events"
    ROLLUPS = "rollups"
    OUTCOMES = "outcomes"
    DEAD_LETTERS = "dead_letters"
    AUDIT = "audit"
    ABUSE = "abuse"


# What stands in the name of a tenant; the others are about the system.
OF_TENANTS = (Layer.ARCHIVE, Layer.EVENTS, Layer.ROLLUPS, Layer.DEAD_LETTERS)


@dataclass(frozen=True, slots=True)
class Policy:
    """Days of arrival that are kept; 0 is for ever. `tenants` shortens it for some, `personal` for personal data."""

    layers: Mapping[Layer, int]
    tenants: Mapping[str, int]
    personal: int

    def warnings(self, settings: Settings) -> list[str]:
        """What of it hardly anybody means."""
        out = []
        archive, events = self.layers[Layer.ARCHIVE], self.layers[Layer.EVENTS]
        if archive and (not events or archive < events):
            out.append(
                f"raw records are kept for {_period(archive)}, events for {_period(events)}: days beyond the archive "
                "cannot be replayed"
            )
        outcomes = self.layers[Layer.OUTCOMES]
        if outcomes and (not archive or outcomes < archive):
            out.append(
                f"outcomes are kept for {_period(outcomes)}, raw records for {_period(archive)}: what became of the "
                "older ones is not known"
            )
        if self.personal:
            for layer in (Layer.ARCHIVE, Layer.DEAD_LETTERS):
                kept = self.layers[layer]
                if not kept or kept > self.personal:
                    out.append(
                        f"personal data is emptied after {_period(self.personal)}, but {layer} keeps it for "
                        f"{_period(kept)}"
                    )
        if settings.raw_retention_hours < settings.dedupe_window_hours:
            out.append(
                f"Kafka keeps raw records for {settings.raw_retention_hours} h, less than the dedupe window of "
                f"{settings.dedupe_window_hours} h"
            )
        if settings.curated_retention_hours < settings.dedupe_window_hours:
            out.append(
                f"Kafka keeps outcomes for {settings.curated_retention_hours} h, and a dedupe window of "
                f"{settings.dedupe_window_hours} h cannot be rebuilt from them"
            )
        if archive and archive * _DAY_H < settings.raw_retention_hours:
            out.append(f"the archive ({_period(archive)}) is shorter than the raw topic: it is of no use")
        return out


def policy(settings: Settings) -> Policy:
    """Raises ConfigError where the tenants cannot be read."""
    return Policy(
        layers={
            Layer.ARCHIVE: settings.retention_archive_days,
            Layer.EVENTS: settings.retention_events_days,
            Layer.ROLLUPS: settings.retention_rollups_days,
            Layer.OUTCOMES: settings.retention_outcomes_days,
            Layer.DEAD_LETTERS: settings.retention_dead_letters_days,
            Layer.AUDIT: settings.retention_audit_days,
            Layer.ABUSE: settings.retention_abuse_days,
        },
        tenants=dict(_tenants(settings.retention_tenants)),
        personal=settings.retention_personal_days,
    )


def _tenants(text: str) -> list[tuple[str, int]]:
    found = []
    for part in filter(str.strip, text.split(",")):
        match = _TENANT.fullmatch(part)
        if match is None:
            raise ConfigError(f"SLUICE_RETENTION_TENANTS: {part.strip()!r} must look like tenant=days")
        found.append((match["tenant"], int(match["days"])))
    return found


def _period(days: int) -> str:
    return f"{days} days" if days else "ever"
