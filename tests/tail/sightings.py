"""Sightings for tests, made the way the topics make them."""

from __future__ import annotations

from typing import Any

from cli.tail.sighting import Sighting, from_curated, from_dead_letter, from_raw
from schemas.contracts import bundled_contracts
from streams.batch import process
from streams.records import encode_dead_letter
from streams.window import DedupeWindow
from tests.streams.raw_events import raw_value, record


def curated(**changed: Any) -> Sighting:
    result = process(2, [record(7, raw_value(**changed))], window=_window(), contracts=bundled_contracts())
    return from_curated(result.curated[0].value)


def dead_letter(value: bytes | None = None, **changed: Any) -> Sighting:
    raw = raw_value(**changed) if value is None else value
    result = process(2, [record(7, raw)], window=_window(), contracts=bundled_contracts())
    return from_dead_letter(encode_dead_letter(result.dead_letters[0]))


def duplicate(**changed: Any) -> Sighting:
    return from_raw("duplicate", 2, 7, arrival_ms=1_700_000_000_000, value=raw_value(**changed))


def _window() -> DedupeWindow:
    return DedupeWindow(max_age_ms=1, max_ids=1)
