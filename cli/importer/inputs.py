"""Which files an import reads: names and patterns become open files, each shown to be of the right kind before anything
is sent."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from cli.importer.source import STDIN, LogSource, RawLine, source_name
from core.errors import InputError, UsageError

# A log may begin with garbage (a crash leaves blocks of zeros), but not with this much of it.
CHECKED_LINES = 1_000


class Mapped(NamedTuple):
    """A line as an event. See `batches.OutgoingEvent`."""

    body: bytes
    event_id: str
    occurred_at: datetime | None


class LineReader(Protocol):
    def __call__(self, raw: RawLine, /) -> Mapped | None:
        """The event of a line, None for a line that only describes the file.

        Called with all lines of a file in their order: what a line becomes may depend on those before it.

        Raises:
            MalformedLineError: with the reason.
        """


@dataclass(frozen=True, slots=True)
class Input:
    """An open file, some of whose lines are already taken from it. `source` is its name in event ids."""

    log: LogSource
    source: str
    lines: Iterator[RawLine]
    """All of them, once, those already taken first."""
    read: LineReader
    begins_at: datetime
    """Files are read in this order."""


class Opener(Protocol):
    """What one kind of import makes of its files. Made anew for every pass over them."""

    def __call__(self, log: LogSource, /, *, source: str) -> Input:
        """
        Raises:
            InputError: the file is not of this kind.
        """


def expand(names: Sequence[str | Path]) -> list[str]:
    """The files that `names` stand for: patterns replaced by the files they match, in order of name.

    Raises:
        InputError: a pattern matches nothing, or a name is that of a directory.
    """
    return [file for name in names for file in _expand_one(str(name))]


def refuse_overlaps(files: Sequence[str], *, rejects: Path) -> None:
    """
    Raises:
        UsageError: a file is named twice, or is also the rejects file.
    """
    paths = [Path(file).resolve() for file in files if file != STDIN]
    if rejects.resolve() in paths:
        raise UsageError(f"the rejects file {rejects} is also to be imported, and would be overwritten")
    if len(set(paths)) < len(paths) or len(files) - len(paths) > 1:
        # The n-th occurrence of a line is an event of its own, so a file read twice would count twice.
        raise UsageError("a file is named twice")


def sources(files: Sequence[str], *, source: str) -> list[str]:
    """The sources of `files` in their order, each once; `source` holds for all if it is given."""
    return list(dict.fromkeys(source or source_name(Path(file).name) for file in files))


def _expand_one(name: str) -> list[str]:
    path = Path(name)
    if name != STDIN and path.is_dir():
        raise InputError(f"{name} is a directory", hint=f"Name its files, e.g. '{path / '*.log*'}'.")
    if name == STDIN or path.exists() or not glob.has_magic(name):
        return [name]
    # Not Path.glob, which has no answer for a pattern that begins at the root.
    found = sorted(file for file in glob.glob(name, recursive=True) if not Path(file).is_dir())  # noqa: PTH207
    if not found:
        raise InputError(f"no file matches {name!r}")
    return found
