"""From what is learnt of events to their fates, and from fates to words and an exit code."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast

import click
import msgspec
import pytest

from cli.send.door import Verdict
from cli.send.fate import Entry, Fate, Place
from cli.send.report import as_json, as_text, exit_code
from cli.send.rows import Rows
from cli.send.source import Outgoing
from cli.send.tracking import Tracker
from cli.tail.follow import Follower
from cli.tail.sighting import Sighting
from core.errors import UnavailableError
from schemas.faults import Fault
from streams.records import OutcomeKind

_FAULT = Fault("wrong_type", "$.properties.status", "int", "str")


def _fate(event_id: str = "a", verdict: str = "accepted", *, index: int = 0, **more: Any) -> Fate:
    return Fate(index, Outgoing(b"{}", event_id, "page_view"), Verdict(verdict, **more))


def _seen(outcome: OutcomeKind, event_id: str = "a", *, offset: int = 7, tenant: str = "demo") -> Sighting:
    faults = (_FAULT,) if outcome == "dead_letter" else ()
    return Sighting(outcome, 1, offset, 1_700_000_000_000, tenant, "page_view", 1, {"event_id": event_id}, faults)


class _Follower:
    """Gives what it was given, one list a poll."""

    def __init__(self, *polls: Sequence[Sighting]) -> None:
        self._polls = list(polls)

    def poll(self, _timeout_s: float) -> list[Sighting]:
        return list(self._polls.pop(0)) if self._polls else []


class _Rows:
    """`stored` are visible; `older` is the first event of every duplicate."""

    def __init__(self, *stored: tuple[int, int], older: Place | None = None, down: bool = False) -> None:
        self.stored, self.older, self.down = set(stored), older, down

    def visible(self, places: Sequence[Place]) -> set[tuple[int, int]]:
        if self.down:
            raise UnavailableError("ClickHouse does not answer")
        return self.stored & {(place.partition, place.offset) for place in places}

    def first(self, **_: Any) -> Place | None:
        return self.older

    def rollups(self, place: Place) -> list[Entry]:
        return [Entry("events_daily", "2026-01-01", {"event": "page_view"}, place.offset)]


def _track(fates: list[Fate], follower: _Follower, rows: _Rows, *, tenant: str = "", timeout_s: float = 2) -> Tracker:
    now = time.monotonic()
    tracker = Tracker(fates, tenant=tenant, started=now)
    tracker.wait(cast("Follower", follower), cast("Rows", rows), deadline=now + timeout_s)
    return tracker


def test_an_event_is_followed_to_its_row_and_rollups() -> None:
    fate = _fate()
    _track([fate], _Follower([], [_seen("curated")]), _Rows((1, 7)))
    assert fate.state == "stored"
    assert [str(entry) for entry in fate.rollups] == ["events_daily: 2026-01-01 event=page_view, now 7"]
    text = "\n".join(as_text([fate], width=200))
    for words in ("stored", "raw 1@7", "contract page_view:1", "row visible in ClickHouse after", "events_daily"):
        assert words in text


def test_two_events_of_one_id_are_told_apart_by_order() -> None:
    fates = [_fate(), _fate(index=1)]
    _track(fates, _Follower([_seen("curated", offset=7), _seen("duplicate", offset=8)]), _Rows((1, 7)))
    assert [fate.state for fate in fates] == ["stored", "duplicate"]
    assert fates[1].first == fates[0].place
    assert "the first one is raw 1@7" in "\n".join(as_text(fates, width=200))


def test_a_duplicate_of_something_older() -> None:
    fate = _fate()
    _track([fate], _Follower([_seen("duplicate")]), _Rows(older=Place(3, 4, 1_699_999_995_000)))
    assert "the first one is raw 3@4, 5.0 s earlier" in "\n".join(as_text([fate], width=200))
    assert (exit_code([fate], allow_duplicate=False), exit_code([fate], allow_duplicate=True)) == (1, 0)


def test_events_of_others_are_not_taken_for_ours() -> None:
    fate = _fate()
    polls = _Follower([_seen("curated", "b"), _seen("curated", tenant="other")])
    _track([fate], polls, _Rows((1, 7)), tenant="demo", timeout_s=0.1)
    assert fate.state == "no_outcome"
    assert exit_code([fate], allow_duplicate=False) == 69


def test_a_dead_letter_has_its_reason_and_what_to_do() -> None:
    fate = _fate()
    _track([fate], _Follower([_seen("dead_letter")]), _Rows())
    text = "\n".join(as_text([fate], width=200))
    assert "wrong_type at $.properties.status: expected int, got str" in text
    assert "Send a value of the type" in text
    assert exit_code([fate], allow_duplicate=True) == 1
    assert msgspec.json.decode(as_json(fate))["faults"][0]["path"] == "$.properties.status"


def test_no_row_until_the_deadline_and_why() -> None:
    fate = _fate()
    tracker = _track([fate], _Follower([_seen("curated")]), _Rows(down=True), timeout_s=0.1)
    assert (fate.state, tracker.trouble) == ("no_row", "ClickHouse does not answer")
    assert "logs/sink.log" in "\n".join(as_text([fate], width=200))
    assert exit_code([fate], allow_duplicate=False) == 69


@pytest.mark.parametrize(
    ("fate", "words", "code"),
    [
        (
            _fate(verdict="rejected", code="unknown_field", field="$.typo", message="no"),
            "unknown_field at $.typo: no",
            1,
        ),
        (_fate(verdict="rejected", code="odd", message="\x1b[2J"), "odd: \\x1b[2J", 1),
        (_fate(verdict="consent_dropped"), 'Only events with "consent_state":"granted"', 1),
        (_fate(verdict="retry", message="HTTP 503 away"), "HTTP 503 away", 69),
        (_fate(event_id="\x1b]0;x\x07", verdict="consent_dropped"), "\\x1b]0;x\\x07", 1),
    ],
)
def test_what_the_collector_did_not_take(fate: Fate, words: str, code: int) -> None:
    text = click.unstyle("\n".join(as_text([fate], width=200)))
    assert words in text
    assert "\x1b" not in text
    assert exit_code([fate], allow_duplicate=False) == code


def test_a_refusal_weighs_more_than_something_that_does_not_answer() -> None:
    assert exit_code([_fate(verdict="retry"), _fate(verdict="rejected")], allow_duplicate=False) == 1


def test_not_waiting_is_fine_and_says_accepted() -> None:
    fate = _fate()
    fate.waited = False
    assert (fate.state, exit_code([fate], allow_duplicate=False)) == ("accepted", 0)


def test_a_long_list_is_cut_where_all_went_well_only() -> None:
    fates = [_fate(str(n), index=n) for n in range(60)]
    for fate in fates:
        fate.waited = False
    fates.append(_fate("bad-one", "rejected", index=60, code="c"))
    text = click.unstyle("\n".join(as_text(fates, width=200)))
    assert "… and 40 more like these" in text
    assert "bad-one" in text
    assert "61 sent: 60 accepted, 1 rejected" in text


def test_lines_stay_within_the_terminal() -> None:
    fate = _fate("e" * 60)
    _track([fate], _Follower([_seen("dead_letter", "e" * 60)]), _Rows())
    lines = click.unstyle("\n".join(as_text([fate], width=39))).split("\n")
    assert max(map(len, lines)) <= 39
