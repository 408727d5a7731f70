"""Looks at a spool without changing it, also while collectors write to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from collector.spool import aside
from collector.spool.folders import Folders, Listed
from collector.spool.log import UNREADABLE, noted_read_to, survey_file
from collector.spool.segments import Segment, SegmentName

# `live` folders belong to a process that runs, `orphan` ones to one that does not.
Kind = Literal["live", "orphan", "set_aside"]


@dataclass(slots=True)
class FolderReport:
    """What a folder holds. `bytes` are those of its files, `records` and `oldest_ms` of what is owed to Kafka.

    `damaged` places hold nothing readable, `torn_bytes` are the end of a write that was cut off. `unreadable` are files
    that the disk does not give out.
    """

    folder: str
    kind: Kind
    pid: int = 0
    files: int = 0
    bytes: int = 0
    records: int = 0
    oldest_ms: int = 0
    damaged: int = 0
    torn_bytes: int = 0
    unreadable: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        return not (self.damaged or self.torn_bytes or self.unreadable)


def inspect(root: Path, *, whole: bool = False) -> list[FolderReport]:
    """All folders of the spool, oldest first, then what is set aside. `whole` reads what is drained too."""
    found = [_folder(each, "live" if each.pid else "orphan", whole=whole) for each in Folders(root).listed()]
    set_aside = Folders(root / aside.FOLDER).listed()
    return found + [_folder(each, "set_aside", whole=whole) for each in set_aside]


def _folder(listed: Listed, kind: Kind, *, whole: bool) -> FolderReport:
    report = FolderReport(listed.path.name, kind, listed.pid)
    read_to = {} if whole else noted_read_to(listed.path)
    try:
        paths = sorted(listed.path.iterdir())
    except FileNotFoundError:  # drained while we looked
        return report
    for path in paths:
        name = SegmentName.parse(path.name)
        if name is not None:
            _file(Segment(path, name, read_to=read_to.get(path.name, 0)), report)
        elif path.name.endswith(UNREADABLE):
            report.unreadable += 1
    return report


def _file(segment: Segment, report: FolderReport) -> None:
    try:
        size = segment.path.stat().st_size
        survey = survey_file(segment, on_entry=lambda entry: _reason(report, entry.note))
    except FileNotFoundError:  # drained while we looked
        return
    except OSError:
        report.unreadable += 1
        return
    report.files += 1
    report.bytes += size
    report.records += survey.records
    report.damaged += survey.damaged
    if not report.pid:  # else it is being written
        report.torn_bytes += survey.torn_bytes
    if segment.oldest_ms:
        report.oldest_ms = min(report.oldest_ms or segment.oldest_ms, segment.oldest_ms)


def _reason(report: FolderReport, note: str) -> None:
    if note:
        report.reasons[note] = report.reasons.get(note, 0) + 1
