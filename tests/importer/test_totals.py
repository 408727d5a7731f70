"""Totals add up, or the import says that it is broken."""

from __future__ import annotations

import dataclasses

import pytest

from cli.importer.totals import Tally, reconcile
from core.errors import InvariantError


def test_a_tally_adds_up() -> None:
    tally = Tally()
    for _ in range(3):
        tally.accepted()
    tally.consent_dropped()
    tally.malformed("time")
    tally.refused("too_long")
    tally.refused("too_long")
    totals = tally.totals(complete=True)
    assert (totals.lines, totals.sent, totals.accepted, totals.rejected, totals.consent_dropped) == (7, 6, 3, 3, 1)
    assert totals.reasons == {"malformed.time": 1, "refused.too_long": 2}
    assert reconcile(totals, lines_read=7) is totals


@pytest.mark.parametrize("lines_read", [0, 2])
def test_a_line_without_fate_is_an_error(lines_read: int) -> None:
    tally = Tally()
    tally.accepted()
    with pytest.raises(InvariantError, match="accounted for"):
        reconcile(tally.totals(complete=True), lines_read=lines_read)


def test_totals_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Tally().totals(complete=True).lines = 1  # type: ignore[misc]
