"""Draws how far a statement is, in one line of standard error, while something else waits for it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from cli.sql.server import Progress, Server

_FIRST_SECONDS: Final = 0.7  # a statement faster than this draws nothing
_EVERY_SECONDS: Final = 0.3
_CLEAR: Final = "\r\x1b[K"


@contextmanager
def watched(server: Server, mark: str, *, on: bool) -> Iterator[threading.Event]:
    """The line goes away at the end, or as soon as the event is set: before rows are written to the same terminal."""
    over = threading.Event()
    if not on:
        yield over
        return
    drawer = threading.Thread(target=_draw, args=(server, mark, over), daemon=True)
    drawer.start()
    try:
        yield over
    finally:
        over.set()
        drawer.join()


def sentence(progress: Progress) -> str:
    if progress.total_rows <= 0:
        return f"{progress.read_rows:,} rows read, {progress.seconds:.1f} s"
    share = min(100, 100 * progress.read_rows // progress.total_rows)
    return f"{share:3d} %  {progress.read_rows:,} of about {progress.total_rows:,} rows, {progress.seconds:.1f} s"


def _draw(server: Server, mark: str, over: threading.Event) -> None:
    drawn = False
    pause = _FIRST_SECONDS
    while not over.wait(pause):
        pause = _EVERY_SECONDS
        if (progress := server.progress(mark)) is not None and not over.is_set():
            sys.stderr.write(f"{_CLEAR}{sentence(progress)}")
            sys.stderr.flush()
            drawn = True
    if drawn:
        sys.stderr.write(_CLEAR)
        sys.stderr.flush()
