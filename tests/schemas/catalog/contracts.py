"""Schema folders for tests of the catalog."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from schemas import files, lock
from schemas.registry import Registry, registry_at


def field(name: str, type_: Any = "string", **about: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, "doc": f"What {name} is.", "pii": "none", **about}


def event(name: str, *fields: dict[str, Any], **about: Any) -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "namespace": "sluice.events",
        "kind": "event",
        "status": "stable",
        "since": "2026-01-01",
        "doc": f"What {name} means.",
        "owner": "web",
        "fires": "When it happens.",
        "purpose": "To know.",
        "metrics": ["visits"],
        "fields": list(fields),
        "examples": [],
        **about,
    }


def context(name: str, *fields: dict[str, Any], **about: Any) -> dict[str, Any]:
    return event(name, *fields, **{"kind": "context", "namespace": "sluice.contexts", **about})


def write(folder: Path, subjects: Mapping[str, Sequence[dict[str, Any]]], *, released: bool = True) -> Path:
    """`subjects` are the versions of each, oldest first."""
    entries: lock.Lock = {}
    for subject, versions in subjects.items():
        place = folder / "avro" / subject
        place.mkdir(parents=True, exist_ok=True)
        for version, source in enumerate(versions, 1):
            (place / f"{version}.avsc").write_text(json.dumps(source))
            if released:
                entry = lock.entry(files.read(place / f"{version}.avsc"), lock.next_id(entries))
                entries.setdefault(subject, {})[version] = entry
    lock.write(folder, entries)
    return folder


def registry(folder: Path, subjects: Mapping[str, Sequence[dict[str, Any]]], **options: Any) -> Registry:
    return registry_at(write(folder, subjects, **options), drafts=True)
