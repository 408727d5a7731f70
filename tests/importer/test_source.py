"""Reading files: the same lines from plain, gzip and stream, in bounded memory."""

from __future__ import annotations

import gzip
import io
import os
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.importer.source import MAX_LINE_BYTES, LogSource, RawLine, open_log, source_name
from core.errors import InputError


def read(data: bytes) -> list[RawLine]:
    return list(LogSource("x", io.BytesIO(data), size=None))


@given(st.lists(st.binary(max_size=50).map(lambda line: line.replace(b"\n", b"").rstrip(b"\r"))), st.booleans())
def test_lines_of_plain_and_gzip_are_what_was_joined(lines: list[bytes], ended: bool) -> None:
    data = b"".join(line + b"\n" for line in lines)
    if data.startswith(b"\x1f\x8b"):
        return
    expected = [(number, line, True, False) for number, line in enumerate(lines, start=1)]
    if not ended:
        data += b"rest"
        expected.append((len(lines) + 1, b"rest", False, False))
    assert read(data) == expected
    assert read(gzip.compress(data)) == expected


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("access.log", "access.log"),
        ("access.log.1", "access.log"),
        ("access.log.gz", "access.log"),
        ("access.log.12.gz", "access.log"),
        ("access.log-20260101", "access.log"),
        ("access.log-2026010113.gz", "access.log"),
        ("access.log.20260101.gz", "access.log"),
        ("access.log-2026-01-01", "access.log"),
        ("access", "access"),
        (".1", ".1"),
        ("site-2.log", "site-2.log"),
        ("-", "stdin"),
    ],
)
def test_source_names(file: str, name: str) -> None:
    assert source_name(file) == name


def test_windows_line_ends_are_no_part_of_a_line() -> None:
    assert [raw[1] for raw in read(b"a\r\nb\r\n")] == [b"a", b"b"]


def test_a_line_without_end_is_cut_and_the_next_one_is_read() -> None:
    long = b"x" * (3 * MAX_LINE_BYTES)
    (_, first, ended, too_long), second = read(long + b"\nnext\n")
    assert (len(first), ended, too_long) == (MAX_LINE_BYTES, True, True)
    assert second == (2, b"next", True, False)
    assert read(b"x" * (MAX_LINE_BYTES - 1) + b"\n") == [(1, b"x" * (MAX_LINE_BYTES - 1), True, False)]


def test_bytes_read_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(b"line\n" * 1000) + gzip.compress(b"more\n"))
    with open_log(str(path), stdin=io.BytesIO()) as log:
        assert len(list(log)) == 1001
        assert log.bytes_read == log.size == path.stat().st_size


def test_a_pipe_that_gives_a_byte_at_a_time(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    data = gzip.compress(b"one\ntwo\n")
    os.write(write_end, data[:1])
    with os.fdopen(read_end, "rb", buffering=0) as stream:
        os.write(write_end, data[1:])
        os.close(write_end)
        assert [raw.line for raw in LogSource("pipe", stream, size=None)] == [b"one", b"two"]


def test_a_gzip_that_breaks_off_gives_its_lines_then_says_so() -> None:
    data = gzip.compress(b"".join(b"%d\n" % number for number in range(100_000)))
    lines = iter(LogSource("x", io.BytesIO(data[: len(data) // 2]), size=None))
    assert [raw.line for raw in islice(lines, 3)] == [b"0", b"1", b"2"]
    with pytest.raises(InputError, match="cannot be read to its end"):
        list(lines)


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(InputError, match="cannot be opened"), open_log(str(path), stdin=io.BytesIO()):
            pass
