"""An import from end to end: lock, open, go on where an earlier run was cut off, read, send, account.

1. Every file is opened and shown to be of its kind before anything is sent.
2. A resumed import reads from the start, so that ids, sessions and occurrence counts come out the same, and hands on
   nothing until it has passed what is settled. If what it reads there is not what was settled, it starts over.
3. A line is counted only when its fate is known, and the checkpoint is written only for batches that are settled
   wholly, so totals add up also when the import is cut off.
4. The checkpoint goes when all is settled: the next import of the same source begins anew.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from cli.importer.batches import Batch
from cli.importer.checkpoint import Checkpoint, CheckpointFile
from cli.importer.feed import ChangedInputError, Feed
from cli.importer.inputs import Input, Opener, expand, refuse_overlaps, sources
from cli.importer.lock import exclusive
from cli.importer.outbox import Outbox
from cli.importer.rejects import RejectsFile
from cli.importer.sender import Sender, Sending
from cli.importer.settlement import OnProgress, Settlement
from cli.importer.source import STDIN, open_log, source_name
from cli.importer.totals import Totals, reconcile
from cli.importer.warehouse import Warehouse
from core.errors import InputError


@dataclass(frozen=True, slots=True)
class Continuity:
    """Where imports keep how far they are, and whether to disregard it once."""

    folder: Path
    restart: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One import. Its identity is `kind`, collector, tenant, sources and `options`, not the names of its files: a log
    that was rotated in between is resumed too.
    """

    kind: str
    files: Sequence[str | Path]
    new_opener: Callable[[], Opener]
    source: str
    options: tuple[str, ...]
    rejects: Path
    collector_url: str
    key: str = field(repr=False)
    sending: Sending
    on_progress: OnProgress | None
    stdin: IO[bytes] | None
    continuity: Continuity | None
    warehouse: Warehouse | None

    def run(self) -> Totals:
        files = expand(self.files)
        refuse_overlaps(files, rejects=self.rejects)
        if self.continuity is None:
            return self._attempt(files, None, None)
        names = sources(files, source=self.source)
        with exclusive(self.continuity.folder, names, url=self.collector_url, kind=self.kind):
            keeper = CheckpointFile(
                self.continuity.folder,
                names,
                identity=(self.kind, self.collector_url.rstrip("/"), self.sending.tenant, *self.options),
            )
            start = None if self.continuity.restart else keeper.read(rejects=self.rejects)
            return self._resumed(files, keeper, start)

    def _resumed(self, files: Sequence[str], keeper: CheckpointFile, start: Checkpoint | None) -> Totals:
        try:
            return self._attempt(files, keeper, start)
        except ChangedInputError:
            if STDIN in files:
                raise InputError(
                    "standard input does not begin with what an earlier run of this import has sent",
                    hint="Give it from its start, or start over with --restart.",
                ) from None
            return self._attempt(files, keeper, None)

    def _attempt(self, files: Sequence[str], keeper: CheckpointFile | None, start: Checkpoint | None) -> Totals:
        with ExitStack() as stack:
            inputs = self._open(files, stack)
            rejects = RejectsFile(self.rejects, keep_bytes=start.rejects_bytes if start else 0)
            books = Settlement(
                stack.enter_context(closing(rejects)),
                bytes_total=_total_size(inputs),
                on_progress=self.on_progress,
                start=start,
            )
            stopping = threading.Event()
            sender = Sender(self.collector_url, key=self.key, sending=self.sending, stop=stopping, on_wait=books.report)
            stack.enter_context(closing(sender))

            def settle(batch: Batch) -> None:
                stored = self.warehouse.stored(batch.events) if self.warehouse else frozenset[str]()
                unsent = books.begin(batch, stored)
                if books.settle(batch, unsent, sender.deliver([batch.events[n].body for n in unsent])) and keeper:
                    keeper.write(books.checkpoint(batch, rejects_path=self.rejects))

            if start is not None:
                books.report()
            outbox = Outbox(settle, stopping=stopping)
            feed = Feed(outbox.put, batch_events=self.sending.request_events, after=start.position if start else None)
            totals = _run(inputs, feed=feed, outbox=outbox, books=books)
            if totals.complete and keeper:
                keeper.remove()
            return totals

    def _open(self, files: Sequence[str], stack: ExitStack) -> list[Input]:
        opener = self.new_opener()
        opened = [
            opener(
                stack.enter_context(open_log(file, stdin=self.stdin or sys.stdin.buffer)),
                source=self.source or source_name(Path(file).name),
            )
            for file in files
        ]
        return sorted(opened, key=lambda each: each.begins_at)


def _run(inputs: list[Input], *, feed: Feed, outbox: Outbox, books: Settlement) -> Totals:
    try:
        try:
            for each in inputs:
                feed.read(each)
            feed.end()
        except InputError:
            feed.flush()  # what was read before the file broke off is good
            outbox.close()
            raise
        outbox.close()
    except KeyboardInterrupt:
        outbox.stop()
        return books.totals(complete=False)
    finally:
        outbox.abandon()
    return reconcile(books.totals(complete=True), lines_read=feed.lines_read)


def _total_size(inputs: list[Input]) -> int | None:
    sizes = [each.log.size for each in inputs]
    return None if None in sizes else sum(size or 0 for size in sizes)
