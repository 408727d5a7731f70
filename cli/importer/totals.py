"""What became of the lines of an import, counted. Where the counts come from is the pipeline's part."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from cli.importer.checkpoint import Counts
from core.errors import InvariantError


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of lines whose fate is known: `lines == accepted + rejected + consent_dropped + already_stored`, always.

    `accepted` counts events that the collector has made durable; events it already knew are among them.
    `reasons` maps `malformed.<code>` and `refused.<code>` to counts and adds up to `rejected`.
    `already_stored` counts events that were not sent, because the warehouse has them. `resumed` is how many of the
    lines were settled by earlier runs of this import.
    `complete` is False when the import was interrupted before all lines were settled.
    """

    lines: int = 0
    accepted: int = 0
    malformed: int = 0
    refused: int = 0
    consent_dropped: int = 0
    already_stored: int = 0
    resumed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    complete: bool = True

    @property
    def sent(self) -> int:
        """Events that the collector has judged."""
        return self.lines - self.malformed - self.already_stored

    @property
    def rejected(self) -> int:
        """Lines that were no events, and events that the collector refused."""
        return self.malformed + self.refused


@dataclass(frozen=True, slots=True)
class Progress:
    """`bytes_read` of `bytes_total` are those of the files as stored; the total is None when one is a stream.

    `waiting` says what the import waits for, empty while it moves.
    """

    totals: Totals
    bytes_read: int
    bytes_total: int | None
    waiting: str = ""


_NOTHING = Counts()


class Tally:
    """Counts while the import runs, from what an earlier run has counted. Used by one thread."""

    def __init__(self, start: Counts = _NOTHING) -> None:
        self._accepted = start.accepted
        self._consent_dropped = start.consent_dropped
        self._already_stored = start.already_stored
        self._reasons = Counter(start.reasons)
        self._resumed = self._lines

    def accepted(self) -> None:
        self._accepted += 1

    def consent_dropped(self) -> None:
        self._consent_dropped += 1

    def already_stored(self) -> None:
        self._already_stored += 1

    def malformed(self, code: str) -> None:
        self._reasons[f"malformed.{code}"] += 1

    def refused(self, code: str) -> None:
        self._reasons[f"refused.{code}"] += 1

    def counts(self) -> Counts:
        return Counts(self._accepted, self._consent_dropped, self._already_stored, dict(self._reasons))

    def totals(self, *, complete: bool) -> Totals:
        malformed = sum(count for reason, count in self._reasons.items() if reason.startswith("malformed."))
        return Totals(
            lines=self._lines,
            accepted=self._accepted,
            malformed=malformed,
            refused=self._reasons.total() - malformed,
            consent_dropped=self._consent_dropped,
            already_stored=self._already_stored,
            resumed=self._resumed,
            reasons=dict(sorted(self._reasons.items())),
            complete=complete,
        )

    @property
    def _lines(self) -> int:
        return self._accepted + self._consent_dropped + self._already_stored + self._reasons.total()


def reconcile(totals: Totals, *, lines_read: int) -> Totals:
    """Give back `totals` if every line that was read has its fate.

    Raises:
        InvariantError: a line went missing inside the importer.
    """
    if totals.lines != lines_read:
        raise InvariantError(f"{lines_read} lines were read, but {totals.lines} are accounted for")
    return totals
