"""How far an import is, on disk: what a run that was killed leaves to the next one.

The file says how many lines are settled, a digest by which they are known again, and what became of them. It does not
hold sessions or occurrence counts: those come out the same when the lines are read again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from cli.importer.batches import Position
from core.errors import StateError
from infra import documents


class Counts(msgspec.Struct, frozen=True):
    accepted: int = 0
    consent_dropped: int = 0
    already_stored: int = 0
    reasons: dict[str, int] = {}


class Checkpoint(msgspec.Struct, frozen=True):
    """`rejects_bytes` is how much of the rejects file belongs to the settled lines."""

    lines: int
    digest: str
    bytes_read: int
    rejects: str
    rejects_bytes: int
    counts: Counts

    @property
    def position(self) -> Position:
        return Position(self.lines, self.digest)


class CheckpointFile:
    """The checkpoint of one import, known by its sources and whatever else makes its events what they are."""

    def __init__(self, folder: Path, sources: Sequence[str], *, identity: Sequence[str]) -> None:
        digest = hashlib.blake2b(msgspec.json.encode([identity, sources]), digest_size=6).hexdigest()
        self.path = folder / f"{file_name(sources[0])}-{digest}.json"

    def read(self, *, rejects: Path) -> Checkpoint | None:
        """What an earlier run left; None if there is nothing, or its rejects cannot be added to.

        Raises:
            StateError: the file is damaged.
        """
        try:
            found = documents.read_json(self.path, Checkpoint)
        except StateError as error:
            raise StateError(error.message, hint="Start the import over with --restart.") from error
        if found is None or found.rejects_bytes == 0:
            return found
        same = found.rejects == str(rejects.absolute()) and rejects.is_file()
        return found if same and rejects.stat().st_size >= found.rejects_bytes else None

    def write(self, checkpoint: Checkpoint) -> None:
        """
        Raises:
            DiskFullError, StateError: it cannot be written.
        """
        documents.write_json(self.path, checkpoint)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def file_name(source: str) -> str:
    """`source` as part of a file's name: no path, and not too long."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", source)[:100]
