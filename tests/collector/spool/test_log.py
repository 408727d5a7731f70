"""What the model does not say of the log: files that cannot be read, bounds, leftovers, what is reported."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from collector.publisher import Record
from collector.spool import frames, segments
from collector.spool.log import READ_ATTEMPTS, SpoolFullError, SpoolLog
from tests.collector.spool.disks import FailingDisk

RECORDS = [Record(b"demo|v-%d" % number, b"value %d" % number) for number in range(10)]


def opened(folder: Path, *, max_bytes: int = 1 << 20, segment_bytes: int = 120) -> SpoolLog:
    return SpoolLog(folder, max_bytes=max_bytes, disk=FailingDisk(), segment_bytes=segment_bytes)


def filled(folder: Path) -> SpoolLog:
    log = opened(folder)
    for at, record in enumerate(RECORDS):
        log.append([record], now_ms=100 + at)
        log.commit()
    return log


def test_receipts_say_where_a_record_lies(tmp_path: Path) -> None:
    log = filled(tmp_path)
    [receipt] = log.append([Record(b"k", b"v")], now_ms=1)
    log.commit()
    kind, folder, file, offset = receipt.rsplit("-", 3)
    assert (kind, folder) == ("spool", tmp_path.name)
    [path] = [path for name, path in segments.listed(tmp_path) if name.sequence == int(file)]
    marker = next(name.marker for name, _ in segments.listed(tmp_path) if name.sequence == int(file))
    found = frames.scan(path.read_bytes()[int(offset) :], marker=marker)
    assert found.entries[0].record == Record(b"k", b"v")


def test_totals(tmp_path: Path) -> None:
    log = filled(tmp_path)
    files = [path for _, path in segments.listed(tmp_path)]
    assert len(files) > 2
    assert (log.records, log.oldest_ms) == (10, 100)
    assert log.bytes == sum(path.stat().st_size for path in files)
    batch = log.read(3)
    assert batch is not None
    log.acknowledge(batch)
    assert (log.records, log.empty) == (10 - len(batch.records), False)
    assert log.oldest_ms <= 100 + len(batch.records)
    log.close()
    again = opened(tmp_path)
    assert (again.records, again.oldest_ms) == (10 - len(batch.records), 100 + len(batch.records))


def test_what_would_exceed_the_bound_is_refused_whole(tmp_path: Path) -> None:
    bound = frames.size(RECORDS[0]) * 4
    log = opened(tmp_path, max_bytes=bound)
    log.append(RECORDS[:2], now_ms=1)
    with pytest.raises(SpoolFullError):
        log.append(RECORDS[:3], now_ms=1)
    log.append(RECORDS[:2], now_ms=1)
    log.commit()
    with pytest.raises(SpoolFullError):
        log.append(RECORDS[:1], now_ms=1)
    batch = log.read(10)
    assert batch is not None
    log.acknowledge(batch)
    log.seal()
    log.append(RECORDS[:4], now_ms=1)


def test_a_file_that_cannot_be_read_is_laid_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = filled(tmp_path)
    bad = segments.listed(tmp_path)[0][1]
    real = segments.read_at

    def read_at(path: Path, offset: int, size: int) -> bytes:
        if path == bad:
            raise OSError(5, "Input/output error")
        return real(path, offset, size)

    monkeypatch.setattr(segments, "read_at", read_at)
    for _ in range(READ_ATTEMPTS):
        with pytest.raises(OSError, match="Input/output"):
            log.read(5)
    batch = log.read(5)
    assert batch is not None
    assert batch.records[0] in RECORDS[1:]
    assert not bad.exists()
    assert bad.with_name(bad.name + ".unreadable").exists()
    assert log.found.unreadable == 1
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == ["spool.unreadable"]
    caplog.clear()


def test_a_folder_that_cannot_be_read_yet_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    filled(tmp_path).close()
    with monkeypatch.context() as patched:
        patched.setattr(segments, "read_at", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        log = opened(tmp_path)
    assert not log.empty
    drained = []
    while batch := log.read(100):
        drained += batch.records
        log.acknowledge(batch)
    assert drained == RECORDS
    caplog.clear()


def test_files_of_another_version_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "0000000000000001-91c4b0a7d52e8f36.v2.spool"
    path.write_bytes(b"from the future")
    log = filled(tmp_path)
    while batch := log.read(100):
        log.acknowledge(batch)
    log.close()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_many_records_make_one_write_and_one_sync(tmp_path: Path) -> None:
    disk = FailingDisk()
    log = SpoolLog(tmp_path, max_bytes=1 << 20, disk=disk)
    for record in RECORDS:
        log.append([record], now_ms=1)
    log.commit()
    assert disk.syncs == 1
    log.commit()
    assert disk.syncs == 1, "nothing to commit costs nothing"
