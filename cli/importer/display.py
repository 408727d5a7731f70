"""How an import looks while it runs: a bar on a terminal, a plain line now and then elsewhere. Always standard error,
so that standard output holds the summary alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from cli.importer.settlement import OnProgress
from cli.importer.totals import Progress
from core.clock import Clock, SystemClock

PLAIN_INTERVAL_SECONDS = 5.0


@contextmanager
def display(stream: TextIO, *, quiet: bool, clock: Clock | None = None) -> Iterator[OnProgress | None]:
    """Gives what `import_access_log` takes as `on_progress`."""
    clock = clock or SystemClock()
    if quiet:
        yield None
    elif stream.isatty():
        with _bar(stream, clock) as show:
            yield show
    else:
        yield _PlainLines(stream, clock)


class _Rate:
    """Lines a second, and seconds left, of this run: what an earlier one has done is no sign of speed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self._first: Progress | None = None

    def of(self, progress: Progress) -> str:
        first = self._first = self._first or progress
        lines = progress.totals.lines - first.totals.resumed
        return f"{progress.totals.lines:,} lines, {lines / self._seconds():,.0f}/s"

    def left(self, progress: Progress) -> str:
        first = self._first = self._first or progress
        done = progress.bytes_read - (first.bytes_read if first.totals.resumed else 0)
        if progress.bytes_total is None or done <= 0:
            return ""
        seconds = max(0, progress.bytes_total - progress.bytes_read) * self._seconds() / done
        return f", {timedelta(seconds=round(seconds))} left"

    def _seconds(self) -> float:
        return max(self._clock.monotonic() - self._began, 0.001)


class _PlainLines:
    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._rate = _Rate(clock)
        self._next = clock.monotonic() + PLAIN_INTERVAL_SECONDS

    def __call__(self, progress: Progress) -> None:
        rate, left = self._rate.of(progress), self._rate.left(progress)
        if self._clock.monotonic() < self._next:
            return
        self._next = self._clock.monotonic() + PLAIN_INTERVAL_SECONDS
        share = f" ({progress.bytes_read / progress.bytes_total:.0%}{left})" if progress.bytes_total else ""
        waiting = f", waiting: {progress.waiting}" if progress.waiting else ""
        self._stream.write(f"import: {rate}{share}{waiting}\n")
        self._stream.flush()


@contextmanager
def _bar(stream: TextIO, clock: Clock) -> Iterator[OnProgress]:
    rate = _Rate(clock)
    with RichProgress(
        TextColumn("import"),
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(),
        TextColumn("{task.description}", markup=False),
        TimeRemainingColumn(),
        console=Console(file=stream),
    ) as bar:
        task: TaskID | None = None

        def show(progress: Progress) -> None:
            nonlocal task
            text = f"waiting: {progress.waiting}" if progress.waiting else rate.of(progress)
            if task is None:  # it begins where an earlier run was
                task = bar.add_task(text, total=progress.bytes_total, completed=progress.bytes_read)
            bar.update(task, completed=progress.bytes_read, total=progress.bytes_total, description=text)

        yield show
