"""Log files as streams of lines: plain, gzip by its magic bytes, or standard input. Knows nothing of log formats.

Memory is bounded: a line is read up to a limit and what exceeds it is skipped to the next line end.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from core.errors import InputError

STDIN = "-"
# Apache cuts a request line and each header at 8 KiB and may write four characters for a byte: three such fields fit.
MAX_LINE_BYTES = 128 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_BUFFER_BYTES = 64 * 1024
# What logrotate and nginx's users put behind a log's name: .1, .gz, .2.gz, -20260101, -2026-01-01, .20260101.gz
_ROTATION = re.compile(r"(?<=.)(?:\.\d{1,3}|[-.]\d{8}(?:\d{2})?|[-.]\d{4}-\d{2}-\d{2})?(?:\.gz)?\Z", re.IGNORECASE)


class RawLine(NamedTuple):
    number: int
    """From 1."""
    line: bytes
    """Without line end."""
    ended: bool
    """False for a last line that has no line end."""
    too_long: bool
    """True where `line` is only the beginning."""


def source_name(file_name: str) -> str:
    """The name that a log keeps when it is rotated: `access.log` of `access.log.2.gz`."""
    return "stdin" if file_name == STDIN else _ROTATION.sub("", file_name, count=1)


class LogSource:
    """An open log. `bytes_read` counts bytes as stored, so compressed ones for gzip."""

    def __init__(self, name: str, stream: IO[bytes], *, size: int | None) -> None:
        self.name = name
        self.size = size
        self._counted = _Counted(stream)
        raw: io.RawIOBase | gzip.GzipFile = self._counted
        if self._counted.head() == _GZIP_MAGIC:
            raw = gzip.GzipFile(fileobj=self._counted, mode="rb")
        self._lines = io.BufferedReader(raw, _BUFFER_BYTES)

    @property
    def bytes_read(self) -> int:
        return self._counted.count

    def __iter__(self) -> Iterator[RawLine]:
        """
        Raises:
            InputError: the file cannot be read on, e.g. a gzip stream that ends early. Lines before are given first.
        """
        number = 0
        while True:
            line = self._readline()
            if not line:
                return
            number += 1
            ended = line.endswith(b"\n")
            too_long = not ended and len(line) == MAX_LINE_BYTES
            if too_long:
                ended = self._skip_line()
            yield RawLine(number, line.rstrip(b"\r\n") if ended else line, ended, too_long)

    def _skip_line(self) -> bool:
        while piece := self._readline():
            if piece.endswith(b"\n"):
                return True
        return False

    def _readline(self) -> bytes:
        try:
            return self._lines.readline(MAX_LINE_BYTES)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{self.name} cannot be read to its end: {error}") from error


@contextmanager
def open_log(path: str, *, stdin: IO[bytes]) -> Iterator[LogSource]:
    """Open `path`, or take `stdin` for `-`.

    Raises:
        InputError: it cannot be opened.
    """
    if path == STDIN:
        yield LogSource("standard input", stdin, size=None)
        return
    try:
        stream = Path(path).open("rb", buffering=0)  # noqa: SIM115 (given to the caller first, closed below)
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}") from error
    with stream:
        size = Path(path).stat().st_size if Path(path).is_file() else None
        yield LogSource(path, stream, size=size)


class _Counted(io.RawIOBase):
    """Counts what is read, and can look at the first two bytes of a stream that cannot be rewound."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        # A pipe's `read(n)` waits for n bytes; `read1` gives what is there.
        self._read = getattr(stream, "read1", stream.read)
        self._head = b""
        self.count = 0

    def head(self) -> bytes:
        while len(self._head) < len(_GZIP_MAGIC) and (more := self._read(len(_GZIP_MAGIC) - len(self._head))):
            self._head += more
        return self._head

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]  # typeshed: any writable buffer
        if self._head:
            data, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        else:
            data = self._read(len(buffer))
        buffer[: len(data)] = data
        self.count += len(data)
        return len(data)
