"""The books of an import: each line's fate is counted, and what was not accepted goes to the rejects file.

Everything here runs in the sending thread, so that counts, rejects and progress never disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cli.importer.answers import Verdict
from cli.importer.batches import Batch, Origin
from cli.importer.line import EXPLANATIONS
from cli.importer.rejects import RejectsFile
from cli.importer.totals import Progress, Tally, Totals

OnProgress = Callable[[Progress], None]


class Settlement:
    def __init__(self, rejects: RejectsFile, *, bytes_total: int | None, on_progress: OnProgress | None) -> None:
        self._rejects = rejects
        self._bytes_total = bytes_total
        self._bytes_read = 0
        self._on_progress = on_progress
        self._tally = Tally()

    def settle(self, batch: Batch, answers: Iterable[list[tuple[int, Verdict]]]) -> None:
        """Take down `batch`: its malformed lines, then its events as `answers` come in."""
        for origin, reason in batch.malformed:
            self._tally.malformed(reason)
            self._rejects.write(origin, reason="malformed", code=reason, field="", message=EXPLANATIONS[reason])
        for answer in answers:
            for index, verdict in answer:
                self._take(verdict, batch.events[index].origin)
            self.report()
        self._bytes_read = batch.bytes_read
        self.report()

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
