"""Switches, as entries of the control topic turn them."""

from __future__ import annotations

import pytest

from core.flags import NAMES, ON, PREFIX, Flag, FlagName, Flags, encode

INGEST: FlagName = "tracking.ingest.enabled"


def test_all_are_on_until_somebody_turns_them_off() -> None:
    flags = Flags()
    assert [flags[name] for name in NAMES] == [ON, ON]
    off = Flag(enabled=False, by="ops", reason="moving")
    flags.take(PREFIX + INGEST, encode(off))
    assert (flags[INGEST], flags["tracking.automation.enabled"]) == (off, ON)
    flags.take(PREFIX + INGEST, encode(ON))
    assert flags[INGEST] == ON


def test_a_removed_entry_is_on() -> None:
    flags = Flags()
    flags.take(PREFIX + INGEST, encode(Flag(enabled=False)))
    flags.take(PREFIX + INGEST, None)
    assert flags[INGEST].enabled


@pytest.mark.parametrize("value", [b"", b"off", b"{}", b'{"enabled":0}', b"\xff"])
def test_what_cannot_be_read_leaves_what_was_in_force(value: bytes) -> None:
    flags = Flags()
    flags.take(PREFIX + INGEST, encode(Flag(enabled=False)))
    flags.take(PREFIX + INGEST, value)
    assert not flags[INGEST].enabled


@pytest.mark.parametrize("key", ["", INGEST, f"{PREFIX}other", f"key/{INGEST}", PREFIX])
def test_other_entries_are_none_of_ours(key: str) -> None:
    flags = Flags()
    flags.take(key, encode(Flag(enabled=False)))
    assert flags[INGEST].enabled
