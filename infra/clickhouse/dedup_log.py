"""Drops deduplication records that name a part which never came to be, before the engine opens the folder.

An insert with a token writes its record first and renames its part into place second. Killed in between, the record
stays: the retry with the same token is answered "already there", and the rows are lost for good. Such a record is an
orphan when all of these hold:

    - it is the last word about its block (the engine itself writes a drop record for what is dropped on purpose:
      DROP PARTITION, DETACH, TRUNCATE);
    - its part is neither on disk, under any state, nor covered by a merged or mutated part;
    - it was written after the last checkpoint but one of the run that ended. A checkpoint is the size of every log,
      taken every half minute, so an older record's insert was long over, and its part went for another reason (TTL,
      a mutation that emptied it). Dropping such a record would let a replay bring deleted rows back.

Without a checkpoint nothing is dropped. A torn last line is always dropped: the engine would refuse the log for it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CHECKPOINT_FILE: Final = "dedup_checkpoint.json"
LOG_FOLDER: Final = "deduplication_logs"

_ADD: Final = "1"
_DROP: Final = "2"
_FIELDS: Final = 3
# A partition's id has no underscore, so this also tells a mutation's number from a block's.
_PART: Final = re.compile(r"([^_]+)_(\d+)_(\d+)_(\d+)(?:_(\d+))?\Z")
_LOG_NUMBER: Final = re.compile(r"deduplication_log_(\d+)\.txt\Z")


@dataclass(frozen=True, slots=True)
class Part:
    partition: str
    first: int
    last: int

    def covers(self, other: Part) -> bool:
        return self.partition == other.partition and self.first <= other.first and other.last <= self.last


@dataclass(frozen=True, slots=True)
class Dropped:
    """One record taken out. `part` is empty for a torn line."""

    log: Path
    part: str
    block: str


@dataclass(frozen=True, slots=True)
class _Record:
    log: Path
    offset: int
    line: str
    kind: str
    part: str
    block: str


Sizes = Mapping[str, int]


class Checkpoint:
    """Sizes of all logs now and one checkpoint ago, kept in the data folder."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._path = data / CHECKPOINT_FILE

    def read(self) -> Sizes | None:
        """The older of the two; None when this folder has none or it cannot be read."""
        try:
            older = json.loads(self._path.read_text())["older"]
            return {str(name): int(size) for name, size in older.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def take(self, *, settled: bool = False) -> None:
        """`settled` says that no insert runs, so that the sizes of this moment count as the older ones too."""
        now = self._sizes()
        older = now if settled else self._newer() or now
        draft = self._path.with_suffix(".tmp")
        draft.write_text(json.dumps({"older": older, "newer": now}))
        draft.replace(self._path)

    def _newer(self) -> dict[str, int] | None:
        try:
            newer: dict[str, int] = json.loads(self._path.read_text())["newer"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return newer

    def _sizes(self) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for folder in log_folders(self._data):
            for log in folder.glob("*.txt"):
                try:
                    sizes[str(log.relative_to(self._data))] = log.stat().st_size
                except FileNotFoundError:  # rotated away while we looked
                    continue
        return sizes


def log_folders(data: Path) -> Iterator[Path]:
    yield from data.glob(f"store/*/*/{LOG_FOLDER}")
    yield from data.glob(f"data/*/*/{LOG_FOLDER}")


def repair(data: Path, *, checked: Sizes | None) -> list[Dropped]:
    """Only with the engine closed. Each log is replaced as a whole, so a kill in here costs nothing."""
    dropped: list[Dropped] = []
    for folder in log_folders(data):
        dropped += _repair_table(folder, data=data, checked=checked)
    return dropped


def _repair_table(folder: Path, *, data: Path, checked: Sizes | None) -> list[Dropped]:
    records, torn = _read(folder)
    orphans = _orphans(records, parts=_parts(folder.parent), data=data, checked=checked)
    for log in {record.log for record in orphans} | {item.log for item in torn}:
        _rewrite(log, [record.line for record in records if record.log == log and record not in orphans])
    return [Dropped(record.log, record.part, record.block) for record in orphans] + torn


def _read(folder: Path) -> tuple[list[_Record], list[Dropped]]:
    """All records in the order they were written."""
    records: list[_Record] = []
    torn: list[Dropped] = []
    for log in sorted(folder.glob("*.txt"), key=_log_number):
        offset = 0
        for line in log.read_bytes().splitlines(keepends=True):
            fields = line.decode("utf-8", "replace").removesuffix("\n").split("\t")
            if line.endswith(b"\n") and len(fields) == _FIELDS and fields[0] in (_ADD, _DROP):
                records.append(_Record(log, offset, "\t".join(fields) + "\n", *fields))
            else:
                torn.append(Dropped(log, "", line.decode("utf-8", "replace")))
            offset += len(line)
    return records, torn


def _orphans(records: list[_Record], *, parts: list[Part], data: Path, checked: Sizes | None) -> set[_Record]:
    if checked is None:
        return set()
    last_word = {record.block: record for record in records}
    return {
        record
        for record in last_word.values()
        if record.kind == _ADD
        and record.offset >= checked.get(str(record.log.relative_to(data)), 0)
        and (part := parse_part(record.part)) is not None
        and not any(other.covers(part) for other in parts)
    }


def _parts(table: Path) -> list[Part]:
    """Whatever is in the table's folder under its own name; `tmp_insert_…` is exactly what a kill leaves instead."""
    return [part for entry in table.iterdir() if entry.is_dir() and (part := parse_part(entry.name)) is not None]


def parse_part(name: str) -> Part | None:
    found = _PART.match(name)
    return Part(found[1], int(found[2]), int(found[3])) if found else None


def _log_number(log: Path) -> int:
    found = _LOG_NUMBER.match(log.name)
    return int(found[1]) if found else 0


def _rewrite(log: Path, lines: list[str]) -> None:
    draft = log.with_suffix(".repair")
    with draft.open("w") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(log)
