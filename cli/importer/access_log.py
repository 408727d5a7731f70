"""The import of access logs from end to end: check the files, read them in time order, map, send, account.

1. Every file is opened and shown to be a log before anything is sent.
2. Files are read oldest first, so that a source's rotated parts are one sequence whatever order they were named in.
3. A line is counted only when its fate is known, so totals add up also when the import is cut off.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO

from cli.importer.batches import Batch
from cli.importer.checked import CheckedLog, check
from cli.importer.feed import Feed
from cli.importer.mapping import Mapping
from cli.importer.outbox import Outbox
from cli.importer.rejects import RejectsFile
from cli.importer.sender import Sender, Sending
from cli.importer.settlement import OnProgress, Settlement
from cli.importer.source import STDIN, open_log, source_name
from cli.importer.totals import Totals, reconcile
from core.errors import InputError, UsageError

_DEFAULT_MAPPING = Mapping()
_DEFAULT_SENDING = Sending()


def import_access_log(
    files: Sequence[str | Path],
    *,
    collector_url: str,
    key: str,
    rejects: Path,
    mapping: Mapping = _DEFAULT_MAPPING,
    sending: Sending = _DEFAULT_SENDING,
    on_progress: OnProgress | None = None,
    stdin: IO[bytes] | None = None,
) -> Totals:
    """Send every line of `files` (`-` is standard input) to the collector at `collector_url`.

    `rejects` is replaced by a JSONL file of the lines that were not accepted; it is absent if there are none.
    `on_progress` is called from another thread after each answer, and when waiting for the collector begins.
    On KeyboardInterrupt the request under way is finished and the totals so far are given, `complete` being False.

    Raises:
        InputError: a file cannot be opened or is no log (nothing was sent), or breaks off (what precedes was sent).
        UsageError: a file is named twice, or is also the rejects file.
        ConfigError: the address or the key is wrong.
        UnavailableError: the collector took nothing for `sending.max_wait` seconds.
        RefusedError: the collector will never take a request of ours.
        DiskFullError, StateError: the rejects file cannot be written.
    """
    _refuse_overlaps(files, rejects)
    with ExitStack() as stack:
        logs = [
            check(
                stack.enter_context(open_log(str(file), stdin=stdin or sys.stdin.buffer)),
                source=mapping.source or source_name(Path(file).name),
            )
            for file in files
        ]
        books = Settlement(
            stack.enter_context(closing(RejectsFile(rejects))),
            bytes_total=_total_size(logs),
            on_progress=on_progress,
        )
        stopping = threading.Event()
        sender = Sender(collector_url, key=key, sending=sending, stop=stopping, on_wait=books.report)
        stack.enter_context(closing(sender))

        def settle(batch: Batch) -> None:
            books.settle(batch, sender.deliver([event.body for event in batch.events]))

        outbox = Outbox(settle, stopping=stopping)
        feed = Feed(outbox.put, mapping=mapping, batch_events=sending.batch_events)
        return _run(sorted(logs, key=lambda log: log.begins_at), feed=feed, outbox=outbox, books=books)


def _run(logs: list[CheckedLog], *, feed: Feed, outbox: Outbox, books: Settlement) -> Totals:
    try:
        try:
            for log in logs:
                feed.read(log)
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


def _refuse_overlaps(files: Sequence[str | Path], rejects: Path) -> None:
    paths = [Path(file).resolve() for file in files if str(file) != STDIN]
    if rejects.resolve() in paths:
        raise UsageError(f"the rejects file {rejects} is also to be imported, and would be overwritten")
    if len(set(paths)) < len(paths) or len(files) - len(paths) > 1:
        # The n-th occurrence of a line is an event of its own, so a file read twice would count twice.
        raise UsageError("a file is named twice")


def _total_size(logs: list[CheckedLog]) -> int | None:
    sizes = [log.log.size for log in logs]
    return None if None in sizes else sum(size or 0 for size in sizes)
