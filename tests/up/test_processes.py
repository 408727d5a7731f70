"""The table of processes: from events alone, and beside a real supervisor with a child that dies again and again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cli.up import problems
from cli.up.processes import ProcessTable
from cli.up.snapshot import Figures
from cli.up.trends import Trends
from cli.up.view import render
from core.clock import ManualClock, SystemClock
from infra.child_events import ChildState, Exited, Ready, Restarting, Started, Stopped
from infra.supervisor import Supervisor
from tests.infra.children import eventually, python_spec
from tests.up.snapshots import snapshot


def test_a_life() -> None:
    clock = ManualClock()
    table = ProcessTable(clock)
    table(Started("sink", os.getpid()))
    clock.advance(2)
    table(Ready("sink", 2.0))
    clock.advance(5)
    (row,) = table.snapshot(states={})
    assert (row.state, row.pid, row.up_s, row.restarts, row.fell_s) == ("ready", os.getpid(), 7.0, 0, None)
    assert row.rss_bytes is None or row.rss_bytes > 1_000_000
    table(Exited("sink", "killed by SIGKILL"))
    table(Restarting("sink", 0.4))
    (row,) = table.snapshot(states={})
    assert (row.state, row.pid, row.up_s) == ("restarting", None, None)
    assert row.next_start_s == pytest.approx(0.4)
    table(Started("sink", 1))
    clock.advance(1)
    (row,) = table.snapshot(states={})
    assert (row.state, row.restarts, row.up_s, row.fell_s, row.next_start_s) == ("starting", 1, 1.0, 1.0, None)
    (row,) = table.snapshot(states={"sink": ChildState.STOPPING})
    assert row.state == "draining"
    table(Stopped("sink"))
    (row,) = table.snapshot(states={"sink": ChildState.STOPPED})
    assert (row.state, row.pid) == ("stopped", None)


def test_a_clock_set_back_ages_nothing() -> None:
    clock = ManualClock()
    table = ProcessTable(clock)
    table(Started("sink", 1))
    clock.advance(10)
    clock.set_wall(0)
    (row,) = table.snapshot(states={})
    assert row.up_s == 10.0


def test_a_child_that_dies_again_and_again_is_shown_and_the_rest_lives(tmp_path: Path) -> None:
    table = ProcessTable(SystemClock())
    # Ready once, so that it is not given up; it falls at once from then on.
    looping = python_spec(
        tmp_path, "ready(); time.sleep(0.3); print('Error: no luck today'); sys.exit(9)", name="streams"
    )
    steady = python_spec(tmp_path, "ready(); time.sleep(60)", name="sink", stop_grace_s=2.0)
    with Supervisor([[steady], [looping]], on_event=table):

        def falls() -> int:
            return next((row.restarts for row in table.snapshot(states={}) if row.name == "streams"), 0)

        assert eventually(lambda: falls() >= 2)
        assert eventually(lambda: table.snapshot(states={})[1].state == "restarting")
        rows = table.snapshot(states={})
    assert (rows[0].name, rows[0].restarts) == ("sink", 0)
    assert rows[0].state == "ready"
    found, _ = problems.find(rows, Figures(), Trends(), away=())
    text = "\n".join(line.plain for line in render(snapshot(processes=rows, problems=found), width=100))
    assert "streams fell 3 times: exit code 9, after: Error: no luck today" in text
    assert "Sluice  degraded" in text
