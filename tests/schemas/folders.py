"""Schema folders made up for tests: contexts, events that refer to them, releases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from schemas import files, lock

LEAFLET: dict[str, Any] = {
    "type": "record",
    "name": "Leaflet",
    "namespace": "sluice.contexts",
    "kind": "context",
    "doc": "Where a visit came from.",
    "fields": [{"name": "source", "type": ["null", "string"], "default": None, "doc": "utm_source"}],
}
BOUGHT: dict[str, Any] = {
    "type": "record",
    "name": "Bought",
    "namespace": "sluice.events",
    "kind": "event",
    "doc": "A sale.",
    "references": [{"name": "sluice.contexts.Leaflet", "subject": "leaflet_context", "version": 1}],
    "status": "stable",
    "fields": [
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "leaflet", "type": ["null", "sluice.contexts.Leaflet"], "default": None},
        {"name": "note", "type": "string", "default": "", "pii": "none"},
    ],
}


def shop(folder: Path) -> Path:
    """A folder with an event that refers to a context."""
    release(folder, "leaflet_context", 1, LEAFLET)
    release(folder, "bought", 1, BOUGHT)
    return folder


def write(folder: Path, subject: str, version: int, source: dict[str, Any]) -> None:
    path = folder / "avro" / subject / f"{version}.avsc"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(files.dump(source))


def release(folder: Path, subject: str, version: int, source: dict[str, Any]) -> int:
    write(folder, subject, version, source)
    known = lock.read(folder)
    entry = lock.entry(source, lock.next_id(known))
    lock.write(folder, known | {subject: known.get(subject, {}) | {version: entry}})
    return entry.id
