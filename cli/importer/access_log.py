"""The import of access logs: which format a file is in, and what its lines become.

Files are read oldest first, so that a source's rotated parts are one sequence whatever order they were named in. How
an import runs from end to end is `job`'s part.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import IO

import msgspec

from cli.importer.formats import AUTO, Detector
from cli.importer.formats.line import LogFormat, MalformedLineError, Parser
from cli.importer.inputs import CHECKED_LINES, Input, Mapped
from cli.importer.job import Continuity, Job
from cli.importer.mapping import LineMapper, Mapping
from cli.importer.sender import Sending
from cli.importer.settlement import OnProgress
from cli.importer.source import LogSource, RawLine
from cli.importer.totals import Totals
from cli.importer.warehouse import Warehouse
from core.errors import InputError

_DEFAULT_MAPPING = Mapping()
_DEFAULT_SENDING = Sending()
_LATEST = datetime.max.replace(tzinfo=UTC)


def import_access_log(  # noqa: PLR0913 (a public call: options by name)
    files: Sequence[str | Path],
    *,
    collector_url: str,
    key: str,
    rejects: Path,
    mapping: Mapping = _DEFAULT_MAPPING,
    sending: Sending = _DEFAULT_SENDING,
    on_progress: OnProgress | None = None,
    stdin: IO[bytes] | None = None,
    continuity: Continuity | None = None,
    warehouse: Warehouse | None = None,
) -> Totals:
    """Send every line of `files` (names or patterns; `-` is standard input) to the collector at `collector_url`.

    `rejects` is replaced by a JSONL file of the lines that were not accepted; it is absent if there are none.
    `on_progress` is called from another thread after each answer, and when waiting for the collector begins.
    With `continuity` an import that was cut off goes on where it was. With `warehouse`, events that are stored there
    are not sent. On KeyboardInterrupt the request under way is finished and the totals so far are given, `complete`
    being False.

    Raises:
        InputError: a file cannot be opened or is no log (nothing was sent), or breaks off (what precedes was sent).
        UsageError: a file is named twice, or is also the rejects file.
        ConfigError: the address, the key or the tenant is wrong.
        StateLockedError: another process imports the same source.
        UnavailableError: the collector took nothing for `sending.max_wait` seconds, or the warehouse does not answer.
        RefusedError: the collector will never take a request of ours.
        DiskFullError, StateError: the rejects file or the checkpoint cannot be written.
    """
    return Job(
        kind="access-log",
        files=files,
        new_opener=lambda: AccessLogs(mapping),
        source=mapping.source,
        options=(mapping.site, mapping.consent, mapping.format),
        rejects=rejects,
        collector_url=collector_url,
        key=key,
        sending=sending,
        on_progress=on_progress,
        stdin=stdin,
        continuity=continuity,
        warehouse=warehouse,
    ).run()


class AccessLogs:
    """Opens logs; those of one source share what tells their lines and sessions apart."""

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping
        self._mappers: dict[str, LineMapper] = {}

    def __call__(self, log: LogSource, /, *, source: str) -> Input:
        """Read `log` up to its first line in a log format. An empty file is a log in which nothing happened yet.

        Raises:
            InputError: none of the first 1,000 lines is in a log format.
        """
        mapper = self._mappers.setdefault(source, LineMapper(source, self._mapping))
        detector = Detector(self._mapping.format)
        head: list[RawLine] = []
        rest = iter(log)
        for raw in rest:
            head.append(raw)
            found = detector.see(raw.line)
            if found is not None:
                format_, line = found
                return Input(log, source, chain(head, rest), _Lines(format_, mapper), line.at)
            if len(head) == CHECKED_LINES:
                break
        # Directives are all that a web server writes into a log before the first request.
        if all(raw.line.startswith(b"#") for raw in head):
            return Input(log, source, iter(head), _skip, _LATEST)
        raise _no_log(log.name, head, self._mapping.format)


class _Lines:
    """The lines of one file in its format."""

    def __init__(self, format_: LogFormat, mapper: LineMapper) -> None:
        self._parse: Parser = format_.new_parser()
        self._whole_end = format_.whole_end
        self._mapper = mapper
        self._encode = msgspec.json.Encoder().encode

    def __call__(self, raw: RawLine, /) -> Mapped | None:
        if raw.too_long:
            raise MalformedLineError("too_long")
        if not raw.ended and not raw.line.endswith(self._whole_end):
            # It may still be being written: sent now, it would be another event once it is whole.
            raise MalformedLineError("unfinished")
        line = self._parse(raw.line)
        if line is None:
            return None
        event = self._mapper.event(raw.line, line)
        return Mapped(self._encode(event), event.event_id, line.at)


def _skip(_raw: RawLine, /) -> None:
    return None


def _no_log(name: str, head: list[RawLine], format_: str) -> InputError:
    kind = "binary data" if any(b"\0" in raw.line for raw in head) else "no log in a format that is known"
    if format_ != AUTO:
        kind = f"no log in the format {format_}"
    return InputError(
        f"{name} is {kind}: none of its first {len(head)} lines can be read",
        hint="Supported are combined, common, vhost_combined, nginx-json, caddy-json and w3c, plain or gzip.",
    )
