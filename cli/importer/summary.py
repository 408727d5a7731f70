"""What an import ends with, for people and for programs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from cli.importer.totals import Totals


def as_json(totals: Totals, *, rejects: Path) -> str:
    """One object: the fields of `Totals`, its sums, and the rejects file (null if there is none)."""
    return json.dumps(
        dataclasses.asdict(totals)
        | {
            "sent": totals.sent,
            "rejected": totals.rejected,
            "rejects": str(rejects) if totals.rejected else None,
        }
    )


def as_text(totals: Totals, *, rejects: Path) -> str:
    lines = [
        f"{totals.lines:>12,} lines",
        f"{totals.accepted:>12,} accepted",
        f"{totals.consent_dropped:>12,} dropped for lack of consent",
        *([f"{totals.already_stored:>12,} already stored, not sent"] if totals.already_stored else []),
        f"{totals.rejected:>12,} rejected" + (f", see {rejects}" if totals.rejected else ""),
        *(f"{count:>16,} {reason}" for reason, count in totals.reasons.items()),
    ]
    if totals.resumed:
        lines.append(f"Went on after {totals.resumed:,} lines of an earlier run.")
    if not totals.complete:
        lines.append("Not finished. Running the same import again continues it: nothing is doubled.")
    return "\n".join(lines)
