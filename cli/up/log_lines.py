"""Lines of log files as records: ours are JSON objects, Kafka's begin with a time, and what follows without either
belongs to the line before.

Reads any bytes and never fails on one. Shown text cannot move the cursor: log lines quote what strangers sent.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

_TAIL_BYTES = 4 * 1024 * 1024
# [2026-11-21 03:44:20,123] or 2026-11-21 03:44:20,123 LEVEL message: Java's, in local time.
_JAVA = re.compile(
    r"\[?(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)[,.](\d{3})\]? (TRACE|DEBUG|INFO|WARN|ERROR|FATAL) (.*)", re.DOTALL
)
_LEVELS = {"warn": "warning", "fatal": "error", "critical": "error", "trace": "debug"}
# Colours and cursor movements, which libraries write without asking whether a terminal is there.
_ESCAPES = re.compile(r"\x08|\x1b\[[0-9;?]*[ -/]*[@-~]")
_TOLD = frozenset({"at", "level", "process", "logger", "event", "exception"})


@dataclass(frozen=True, slots=True)
class Record:
    """One entry. `at` is UTC in ISO form, or what the entry before had; `raw` its text, all lines of it."""

    process: str
    at: str
    level: str
    event: str
    raw: str
    fields: dict[str, Any] = field(default_factory=dict)
    exception: str = ""


def parse(lines: Iterable[str], *, process: str, at: str = "") -> Iterator[Record]:
    """Records of one file's lines. `at` is the time of those that come before any time is told."""
    current: Record | None = None
    for line in (_ESCAPES.sub("", line) for line in lines):
        begun = _begin(line, process)
        if begun is not None:
            if current is not None:
                yield current
            current, at = begun, begun.at
        elif line.strip():
            if current is None:
                current = Record(process, at, "", line, line)
            elif current.level == "" or current.raw[:1] == "{":
                # Something printed past the log, not a part of a JSON line.
                yield current
                current = Record(process, at, "", line, line)
            else:
                current = Record(
                    process, at, current.level, f"{current.event}\n{line}", f"{current.raw}\n{line}", current.fields
                )
    if current is not None:
        yield current


def _begin(line: str, process: str) -> Record | None:
    if line.startswith("{"):
        try:
            found = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeEncodeError):
            return None
        if not isinstance(found, dict) or "event" not in found:
            return None
        fields = {name: value for name, value in found.items() if name not in _TOLD}
        return Record(
            process,
            _utc(str(found.get("at", ""))),
            str(found.get("level", "")),
            str(found["event"]),
            line,
            fields,
            str(found.get("exception", "")),
        )
    java = _JAVA.match(line)
    if java is None:
        return None
    day, time, millis, level, text = java.groups()
    at = datetime.fromisoformat(f"{day}T{time}.{millis}").astimezone(UTC).isoformat(timespec="milliseconds")
    return Record(process, at, _LEVELS.get(level.lower(), level.lower()), text, line)


def _utc(text: str) -> str:
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="milliseconds")
    except ValueError:
        return text


def read_records(path: Path, *, start: int | None = None) -> list[Record]:
    """The records of a log file from byte `start`, or those in its last part; none if it cannot be read."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, 2)
            begin = max(0, end - _TAIL_BYTES) if start is None else start
            file.seek(begin)
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    if start is None and begin > 0:
        lines = lines[1:]  # cut somewhere
    return list(parse(lines, process=path.stem))


def merged(records: Iterable[Record]) -> list[Record]:
    """In the order of time; those of one file stay as they are."""
    return sorted(records, key=lambda record: record.at)


def shown(record: Record, *, name_width: int) -> list[str]:
    """The record as lines for people: time, level, process, event, fields; then its exception, indented."""
    time = _local_time(record.at)
    said = record.event.splitlines() or [""]
    fields = "".join(f"  {name}={_value(value)}" for name, value in record.fields.items())
    head = f"{time} {record.level:<7} {record.process:<{name_width}}  {said[0]}{fields}"
    return [_clean(line) for line in (head, *(f"    {line}" for line in [*said[1:], *record.exception.splitlines()]))]


def _local_time(at: str) -> str:
    try:
        return datetime.fromisoformat(at).astimezone().strftime("%H:%M:%S.%f")[:-3]
    except ValueError:
        return " " * 12


def _value(value: object) -> str:
    if isinstance(value, str):
        return value if value and not re.search(r'[\s="]', value) else msgspec.json.encode(value).decode()
    return msgspec.json.encode(value).decode()


def _clean(text: str) -> str:
    return "".join(c if unicodedata.category(c)[0] != "C" or c == "\t" else "\ufffd" for c in text)
