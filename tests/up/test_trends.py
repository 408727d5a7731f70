"""Rates and what grows, from samples of figures at known times; and the problems that follow from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cli.up import problems
from cli.up.snapshot import Figures
from cli.up.trends import Trends
from tests.up.snapshots import process


def watched(seconds: int, figures_at: Callable[[int], dict[str, Any]]) -> Trends:
    """Trends after one sample a second."""
    trends = Trends()
    for second in range(seconds + 1):
        trends.add(float(second), Figures(**figures_at(second)))
    return trends


def told(trends: Trends, figures: Figures | None = None) -> list[str]:
    return list(problems.find((), figures or Figures(), trends, away=())[0])


def test_a_rate_is_that_of_the_last_seconds() -> None:
    assert watched(60, lambda s: {"received": 100 * s}).rates().received == pytest.approx(100)
    assert watched(60, lambda s: {"received": min(s, 40) * 100}).rates().received == 0


def test_no_rate_from_one_look_or_without_figures() -> None:
    assert watched(0, lambda _: {"received": 5}).rates().received is None
    assert watched(60, lambda _: {}).rates().received is None


def test_counting_anew_is_no_negative_rate() -> None:
    assert watched(10, lambda s: {"curated": 900 if s < 8 else 1}).rates().curated == 0


def test_a_lag_that_grows_is_told() -> None:
    (text,) = told(watched(60, lambda s: {"waiting_streams": 500 * s, "curated": s}))
    assert text == "streams cannot keep up: 30,000 events wait and it grows; more --workers may help"


def test_a_pause_is_told() -> None:
    (text,) = told(Trends(), Figures(streams_paused="paused by ops: a move"))
    assert text.startswith("the streams are paused by ops: a move. Events wait in Kafka")
    assert told(Trends(), Figures(streams_paused="")) == []


def test_a_burst_is_no_problem() -> None:
    assert told(watched(60, lambda s: {"waiting_streams": 9_000 if s > 55 else 0, "curated": s})) == []
    assert told(watched(60, lambda s: {"waiting_streams": max(0, 9_000 - 100 * s), "curated": s})) == []


def test_events_that_wait_while_nothing_moves_are_told() -> None:
    (text,) = told(watched(60, lambda _: {"waiting_sink": 3, "rows": 70}))
    assert text == "the sink stands still: 3 events have been waiting for 30 s; `sluice logs sink` says why"
    assert told(watched(60, lambda s: {"waiting_sink": 3, "rows": s})) == []
    assert told(watched(60, lambda _: {"waiting_sink": 0, "rows": 70})) == []


def test_a_high_share_of_dead_letters_is_told() -> None:
    (text,) = told(watched(60, lambda s: {"curated": 6 * s, "duplicates": 0, "dead_letters": 2 * s}))
    assert text == "25% of the last minute's events broke their contract and are dead letters"


def test_few_dead_letters_or_few_events_are_not() -> None:
    assert told(watched(60, lambda s: {"curated": 99 * s, "duplicates": 0, "dead_letters": s})) == []
    assert told(watched(60, lambda s: {"curated": 0, "duplicates": 0, "dead_letters": s // 10})) == []


def test_a_disk_that_fills_up_is_told_before_it_is_full() -> None:
    gib = 1 << 30
    trends = watched(70, lambda s: {"disk_free_bytes": 100 * gib - s * gib})
    (text,) = told(trends, Figures(disk_free_bytes=30 * gib))
    assert text == "the disk fills up: 30 GiB free, full in 30 s if it goes on like this"
    (text,) = told(Trends(), Figures(disk_free_bytes=700 << 20))
    assert text == "the disk is nearly full: 700 MiB free"


def test_a_source_that_is_away_is_told() -> None:
    found, _ = problems.find((), Figures(), Trends(), away=("Kafka",))
    assert found == ("Kafka does not answer; what it holds is shown as unknown",)


def test_a_crash_loop_is_a_problem_and_a_fall_that_is_over_a_note() -> None:
    falling = process("streams", state="restarting", pid=None, restarts=2, last_reason="exit code 3", next_start_s=6.2)
    again = process("sink", fell_s=5.0, last_reason="killed by SIGKILL", restarts=1)
    long_ago = process("kafka", fell_s=500.0, last_reason="killed by SIGKILL", restarts=1)
    found, notes = problems.find((falling, again, long_ago), Figures(), Trends(), away=())
    assert found == ("streams fell 3 times: exit code 3. next start in 6 s; `sluice logs streams` has more",)
    assert notes == ("sink fell 5 s ago and runs again: killed by SIGKILL",)
