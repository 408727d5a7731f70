"""The import of events that are events already: one JSON object a line, as the collect endpoint takes it.

Only what would spoil a whole request is judged here (no JSON, no end, too long). The contract is the collector's to
judge, event by event, and its verdicts go to the rejects file. A line without an id gets one that is the same each
time: (source, bytes of the line, n-th occurrence of that line in the source).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import IO, Any

import msgspec

from cli.importer.formats.line import MalformedLineError
from cli.importer.identity import Occurrences
from cli.importer.inputs import CHECKED_LINES, Input, Mapped
from cli.importer.job import Continuity, Job
from cli.importer.sender import Sending
from cli.importer.settlement import OnProgress
from cli.importer.source import LogSource, RawLine
from cli.importer.totals import Totals
from cli.importer.warehouse import Warehouse
from collector import oddities
from collector.faults import JSON_ERRORS
from core.errors import InputError

_DEFAULT_SENDING = Sending()
# Files are read in the order in which they are named.
_ALWAYS = datetime.min.replace(tzinfo=UTC)


def import_events(  # noqa: PLR0913 (a public call: options by name)
    files: Sequence[str | Path],
    *,
    collector_url: str,
    key: str,
    rejects: Path,
    source: str = "",
    sending: Sending = _DEFAULT_SENDING,
    on_progress: OnProgress | None = None,
    stdin: IO[bytes] | None = None,
    continuity: Continuity | None = None,
    warehouse: Warehouse | None = None,
) -> Totals:
    """Send every event of `files`. All else is as with `import_access_log`."""
    return Job(
        kind="events",
        files=files,
        new_opener=EventFiles,
        source=source,
        options=(),
        rejects=rejects,
        collector_url=collector_url,
        key=key,
        sending=sending,
        on_progress=on_progress,
        stdin=stdin,
        continuity=continuity,
        warehouse=warehouse,
    ).run()


class EventFiles:
    """Opens files of events; those of one source count repeated lines together."""

    def __init__(self) -> None:
        self._occurrences: dict[str, Occurrences] = {}

    def __call__(self, log: LogSource, /, *, source: str) -> Input:
        """
        Raises:
            InputError: none of the first 1,000 lines is a JSON object.
        """
        occurrences = self._occurrences.setdefault(source, Occurrences(source))
        head: list[RawLine] = []
        rest = iter(log)
        for raw in rest:
            head.append(raw)
            if _is_object(raw.line):
                break
            if len(head) == CHECKED_LINES:
                raise _no_events(log.name, head)
        else:
            if head:
                raise _no_events(log.name, head)
        return Input(log, source, chain(head, rest), EventLines(occurrences), _ALWAYS)


class _Glimpse(msgspec.Struct, gc=False):
    event_id: Any = None
    occurred_at: Any = None


_GLIMPSE = msgspec.json.Decoder(_Glimpse)
_ANYTHING = msgspec.json.Decoder(dict[str, msgspec.Raw])


class EventLines:
    """The lines of one file."""

    def __init__(self, occurrences: Occurrences) -> None:
        self._occurrences = occurrences

    def __call__(self, raw: RawLine, /) -> Mapped:
        if raw.too_long:
            raise MalformedLineError("too_long")
        if not raw.line.strip():
            raise MalformedLineError("empty")
        body = oddities.clean(raw.line.strip())
        try:
            body.decode()  # what is skipped below is not looked at closely
            glimpse = _GLIMPSE.decode(body)
        except RecursionError:
            raise MalformedLineError("too_deep") from None
        except JSON_ERRORS:
            # Without its line end it may still be being written.
            raise MalformedLineError("json" if raw.ended else "unfinished") from None
        event_id = glimpse.event_id
        if event_id is None:
            event_id = self._occurrences.event_id(raw.line)
            body = _with_id(body, event_id)
        return Mapped(body, event_id if isinstance(event_id, str) else "", _moment(glimpse.occurred_at))


def _with_id(body: bytes, event_id: str) -> bytes:
    """`body` with the id at its end, where it also counts if there is an `"event_id": null` before it."""
    inside = body[1:-1].strip()
    return b'{%b%b"event_id":"%b"}' % (inside, b"," if inside else b"", event_id.encode())


def _moment(value: object) -> datetime | None:
    try:
        at = msgspec.convert(value, datetime)
        return at.astimezone(UTC) if at.tzinfo else None
    except (msgspec.ValidationError, OverflowError):
        return None


def _is_object(line: bytes) -> bool:
    try:
        _ANYTHING.decode(oddities.clean(line.strip()))
    except JSON_ERRORS:
        return False
    return True


def _no_events(name: str, head: list[RawLine]) -> InputError:
    return InputError(
        f"{name} is no file of events: none of its first {len(head)} lines is a JSON object",
        hint="One event a line, as the collect endpoint takes it, plain or gzip.",
    )
