"""`lock.json`: which versions are released, with the id and the fingerprint each was released with.

Ids are recorded, never computed from what else is there: a topic written years ago must still name the schema it was
written with. A released file never changes but for its lifecycle attributes, so the content behind an id never does.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

import msgspec

from core.errors import ConfigError

FILE = "lock.json"
# Attributes that tell where a version is in its life. They may change after the release.
LIFECYCLE = frozenset({"status", "since", "deprecatedBy", "sunset", "supersededBy"})
# Below are the records of ours and the first contracts; a folder of your own shares the records with us.
FIRST_FREE_ID = 100
_NAMESPACE = uuid.UUID("5f0b1f6c-0c5e-4b43-9c55-5c7a1f0d7f5e")  # drawn once; GUIDs are made from it for ever


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A released version. `guid` is the second form of Confluent framing's schema reference."""

    id: int
    guid: uuid.UUID
    fingerprint: str


Lock = dict[str, dict[int, Entry]]


def read(folder: Path) -> Lock:
    """The lock of a schema folder; empty if there is none.

    Raises:
        ConfigError: the file is damaged, or gives one id twice.
    """
    path = folder / FILE
    try:
        lock = msgspec.json.decode(path.read_bytes(), type=Lock)
    except FileNotFoundError:
        return {}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a lock file: {error}", hint="Restore it from version control.") from error
    ids = [entry.id for versions in lock.values() for entry in versions.values()]
    if twice := {each for each in ids if ids.count(each) > 1}:
        raise ConfigError(f"{path}: id {min(twice)} is given to two schemas", hint="Restore it from version control.")
    return lock


def write(folder: Path, lock: Lock) -> None:
    """Replace the lock file, at once or not at all. One line a version, so that two releases merge."""
    subjects = []
    for subject, versions in sorted(lock.items()):
        lines = [
            f'    "{version}": {json.dumps(msgspec.to_builtins(entry))}' for version, entry in sorted(versions.items())
        ]
        subjects.append(f"  {json.dumps(subject)}: {{\n" + ",\n".join(lines) + "\n  }")
    path = folder / FILE
    beside = path.with_suffix(".json.new")
    beside.write_text("{\n" + ",\n".join(subjects) + "\n}\n", encoding="utf-8")
    beside.replace(path)


def entry(source: dict[str, Any], schema_id: int) -> Entry:
    """What the lock says of `source` once it is released as `schema_id`."""
    print_ = fingerprint(source)
    return Entry(schema_id, uuid.uuid5(_NAMESPACE, print_), print_)


def next_id(lock: Lock) -> int:
    return max([FIRST_FREE_ID - 1, *(entry.id for versions in lock.values() for entry in versions.values())]) + 1


def fingerprint(source: dict[str, Any]) -> str:
    """SHA-256 of a schema's content without its lifecycle, whatever its layout. Hexadecimal."""
    return hashlib.sha256(json.dumps(content(source), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def content(source: dict[str, Any]) -> dict[str, Any]:
    """`source` without its lifecycle: what never changes behind an id."""
    return {key: value for key, value in source.items() if key not in LIFECYCLE}
