"""Shows that a file is a log before anything of it is sent, and finds when it begins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

from cli.importer.line import MalformedLineError, parse_line
from cli.importer.source import LogSource, RawLine
from core.errors import InputError

# A log may begin with garbage (a crash leaves blocks of zeros), but not with this much of it.
CHECKED_LINES = 1_000
_LATEST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class CheckedLog:
    """An open log, some of whose lines are already read. `source` is its name in event ids."""

    log: LogSource
    source: str
    begins_at: datetime
    lines: Iterator[RawLine]
    """All of them, once, those already read first."""


def check(log: LogSource, *, source: str) -> CheckedLog:
    """Read `log` up to its first line in a log format. An empty file is a log in which nothing happened yet.

    Raises:
        InputError: none of the first 1,000 lines is in a log format.
    """
    head: list[RawLine] = []
    rest = iter(log)
    for raw in rest:
        head.append(raw)
        try:
            return CheckedLog(log, source, parse_line(raw.line).at, chain(head, rest))
        except MalformedLineError:
            if len(head) == CHECKED_LINES:
                break
    if head:
        kind = "binary data" if any(b"\0" in raw.line for raw in head) else "no log in the common or combined format"
        raise InputError(
            f"{log.name} is {kind}: none of its first {len(head)} lines can be read",
            hint="Supported are Apache's and nginx's common and combined formats, plain or gzip.",
        )
    return CheckedLog(log, source, _LATEST, iter(head))
