"""A verdict for people: what was sent, what was done to the pipeline, what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.oracle.judge import Verdict
from tests.oracle.sender import Obligations

_SHOWN = 5


def render(
    verdict: Verdict,
    obligations: Obligations,
    *,
    seed: int,
    faults: Mapping[str, int],
    log: Iterable[str] = (),
    seconds: float,
) -> str:
    lines = [
        f"oracle: seed {seed}, {seconds:.0f} s",
        f"  {obligations.requests:>9,} requests, {obligations.retried:,} of them failed and were sent again",
        f"  {verdict.obligations:>9,} events acknowledged",
        f"  {verdict.rows:>9,} rows, {verdict.dead_letters:,} dead letters; outcomes {verdict.outcomes}",
        f"  {sum(faults.values()):>9,} faults: " + ", ".join(f"{n} x {name}" for name, n in sorted(faults.items())),
    ]
    for name, found in verdict.problems().items():
        lines.append(f"  {len(found):>9,} {name}")
        lines += [f"            {text}" for text in found[:_SHOWN]]
    if not verdict.holds:
        lines += ["  what was done, when:", *(f"    {line}" for line in log)]
    lines.append("verdict: everything holds" if verdict.holds else "verdict: BROKEN")
    return "\n".join(lines)
