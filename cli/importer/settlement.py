"""The books of an import: each line's fate is counted, and what was not accepted goes to the rejects file.

Everything here runs in the sending thread, so that counts, rejects and progress never disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from cli.importer.answers import Verdict
from cli.importer.batches import Batch, Origin
from cli.importer.checkpoint import Checkpoint, Counts
from cli.importer.formats.line import EXPLANATIONS
from cli.importer.rejects import RejectsFile
from cli.importer.totals import Progress, Tally, Totals

OnProgress = Callable[[Progress], None]


class Settlement:
    """`start` is what earlier runs of this import have settled."""

    def __init__(
        self,
        rejects: RejectsFile,
        *,
        bytes_total: int | None,
        on_progress: OnProgress | None,
        start: Checkpoint | None = None,
    ) -> None:
        self._rejects = rejects
        self._bytes_total = bytes_total
        self._bytes_read = start.bytes_read if start else 0
        self._on_progress = on_progress
        self._tally = Tally(start.counts if start else Counts())

    def begin(self, batch: Batch, stored: frozenset[str]) -> list[int]:
        """Take down what is not to be sent: malformed lines and events with an id in `stored`. Gives the others."""
        for origin, reason in batch.malformed:
            self._tally.malformed(reason)
            self._rejects.write(origin, reason="malformed", code=reason, field="", message=EXPLANATIONS[reason])
        unsent = [index for index, event in enumerate(batch.events) if event.event_id not in stored]
        for _ in range(len(batch.events) - len(unsent)):
            self._tally.already_stored()
        return unsent

    def settle(self, batch: Batch, unsent: Sequence[int], answers: Iterable[list[tuple[int, Verdict]]]) -> bool:
        """Take down the events `unsent` of `batch` as `answers` come in. True if each got one."""
        settled = 0
        for answer in answers:
            for index, verdict in answer:
                self._take(verdict, batch.events[unsent[index]].origin)
            settled += len(answer)
            self.report()
        self._bytes_read = max(self._bytes_read, batch.bytes_read)
        self.report()
        return settled == len(unsent)

    def checkpoint(self, batch: Batch, *, rejects_path: Path) -> Checkpoint:
        """What is settled, `batch` being the last."""
        return Checkpoint(
            lines=batch.through.lines,
            digest=batch.through.digest,
            bytes_read=self._bytes_read,
            rejects=str(rejects_path.absolute()),
            rejects_bytes=self._rejects.sync(),
            counts=self._tally.counts(),
        )

    def report(self, waiting: str = "") -> None:
        if self._on_progress is not None:
            self._on_progress(Progress(self.totals(complete=False), self._bytes_read, self._bytes_total, waiting))

    def totals(self, *, complete: bool) -> Totals:
        return self._tally.totals(complete=complete)

    def _take(self, verdict: Verdict, origin: Origin) -> None:
        if verdict.verdict == "accepted":
            self._tally.accepted()
        elif verdict.verdict == "consent_dropped":
            self._tally.consent_dropped()
        else:
            code = verdict.code or "unknown"
            self._tally.refused(code)
            self._rejects.write(
                origin, reason="refused", code=code, field=verdict.field or "", message=verdict.message or ""
            )
