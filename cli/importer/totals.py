"""What became of the lines of an import, counted. Where the counts come from is the pipeline's part."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from core.errors import InvariantError


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of lines whose fate is known: `lines == accepted + rejected + consent_dropped`, always.

    `accepted` counts events that the collector has made durable; events it already knew are among them.
    `reasons` maps `malformed.<code>` and `refused.<code>` to counts and adds up to `rejected`.
    `complete` is False when the import was interrupted before all lines were settled.
    """

    lines: int = 0
    accepted: int = 0
    malformed: int = 0
    refused: int = 0
    consent_dropped: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    complete: bool = True

    @property
    def sent(self) -> int:
        """Lines that were events."""
        return self.lines - self.malformed

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


class Tally:
    """Counts while the import runs. Used by one thread."""

    def __init__(self) -> None:
        self._accepted = 0
        self._malformed = 0
        self._refused = 0
        self._consent_dropped = 0
        self._reasons: Counter[str] = Counter()

    def accepted(self) -> None:
        self._accepted += 1

    def consent_dropped(self) -> None:
        self._consent_dropped += 1

    def malformed(self, code: str) -> None:
        self._malformed += 1
        self._reasons[f"malformed.{code}"] += 1

    def refused(self, code: str) -> None:
        self._refused += 1
        self._reasons[f"refused.{code}"] += 1

    def totals(self, *, complete: bool) -> Totals:
        return Totals(
            lines=self._accepted + self._malformed + self._refused + self._consent_dropped,
            accepted=self._accepted,
            malformed=self._malformed,
            refused=self._refused,
            consent_dropped=self._consent_dropped,
            reasons=dict(sorted(self._reasons.items())),
            complete=complete,
        )


def reconcile(totals: Totals, *, lines_read: int) -> Totals:
    """Give back `totals` if every line that was read has its fate.

    Raises:
        InvariantError: a line went missing inside the importer.
    """
    if totals.lines != lines_read:
        raise InvariantError(f"{lines_read} lines were read, but {totals.lines} are accounted for")
    return totals
