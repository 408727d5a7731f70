"""The supervisor with real processes."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from core.errors import ConfigError, InvariantError, UnavailableError
from infra import pids
from infra.child_events import ChildEvent, ChildState, Exited, Ready, Restarting, Started, Stopped
from infra.supervisor import Supervisor
from tests.infra.children import eventually, python_spec

SERVE = "ready(); time.sleep(60)"


def state_of(supervisor: Supervisor, name: str) -> ChildState:
    return next(s.state for s in supervisor.status() if s.name == name)


def pid_of(supervisor: Supervisor, name: str) -> int:
    pid = next(s.pid for s in supervisor.status() if s.name == name)
    assert pid is not None
    return pid


def test_groups_come_up_in_order_and_go_down_in_reverse(tmp_path: Path) -> None:
    events: list[ChildEvent] = []
    groups = [
        [python_spec(tmp_path, f"time.sleep(0.3); {SERVE}", name="a"), python_spec(tmp_path, SERVE, name="b")],
        [python_spec(tmp_path, SERVE, name="c")],
    ]
    with Supervisor(groups, on_event=events.append) as supervisor:
        assert [s.state for s in supervisor.status()] == [ChildState.READY] * 3
        running = [pid_of(supervisor, name) for name in "abc"]
        assert all(map(pids.alive, running))
        names = [(type(e), e.name) for e in events]
        assert names.index((Ready, "a")) < names.index((Started, "c"))
        assert names.index((Started, "b")) < names.index((Ready, "a"))
        supervisor.stop()
        assert not any(map(pids.alive, running))
        assert {s.pid for s in supervisor.status()} == {None}
    assert next(e.name for e in events if isinstance(e, Stopped)) == "c"
    supervisor.stop()
    assert sum(isinstance(e, Stopped) for e in events) == 3


def test_a_killed_child_comes_back_and_the_others_stay(tmp_path: Path) -> None:
    events: list[ChildEvent] = []
    groups = [[python_spec(tmp_path, SERVE, name="a")], [python_spec(tmp_path, SERVE, name="b")]]
    with Supervisor(groups, on_event=events.append) as supervisor:
        a, b = pid_of(supervisor, "a"), pid_of(supervisor, "b")
        supervisor.kill("a")
        assert eventually(lambda: state_of(supervisor, "a") is ChildState.READY and pid_of(supervisor, "a") != a)
        assert pid_of(supervisor, "b") == b
        status = supervisor.status()[0]
        assert (status.restarts, status.last_reason) == (1, "killed by SIGKILL")
    assert Exited("a", "killed by SIGKILL") in events
    assert Restarting("a", 0.2) in events


def test_freeze_and_thaw(tmp_path: Path) -> None:
    ticks = tmp_path / "ticks"
    code = f"ready()\nwhile True: open({str(ticks)!r}, 'a').write('.'); time.sleep(0.01)"
    with Supervisor([[python_spec(tmp_path, code)]]) as supervisor:
        supervisor.freeze("child")
        time.sleep(0.1)
        frozen = ticks.stat().st_size
        time.sleep(0.2)
        assert ticks.stat().st_size == frozen
        assert state_of(supervisor, "child") is ChildState.READY  # slow is not dead
        supervisor.thaw("child")
        assert eventually(lambda: ticks.stat().st_size > frozen)


def test_a_hopeless_first_start_stops_what_is_up_and_raises(tmp_path: Path) -> None:
    events: list[ChildEvent] = []
    groups = [
        [python_spec(tmp_path, SERVE, name="a")],
        [python_spec(tmp_path, "print('error: SLUICE_X is not a setting'); sys.exit(78)", name="b")],
    ]
    supervisor = Supervisor(groups, on_event=events.append)
    with pytest.raises(ConfigError, match=r"b ended: exit code 78 .*SLUICE_X"):
        supervisor.start()
    assert Stopped("a") in events
    assert all(s.pid is None for s in supervisor.status())


def test_a_child_that_always_crashes_ends_the_first_start(tmp_path: Path) -> None:
    events: list[ChildEvent] = []
    supervisor = Supervisor([[python_spec(tmp_path, "sys.exit(1)")]], on_event=events.append)
    with pytest.raises(UnavailableError, match="child ended: exit code 1"):
        supervisor.start()
    assert sum(isinstance(e, Started) for e in events) == 3


def test_a_stop_from_elsewhere_ends_the_start(tmp_path: Path) -> None:
    supervisor = Supervisor([[python_spec(tmp_path, "time.sleep(60)", ready_timeout_s=50)]])
    threading.Timer(0.3, supervisor.stop).start()
    assert supervisor.start() is False
    supervisor.stop()
    assert state_of(supervisor, "child") is ChildState.STOPPED


def test_a_listener_that_fails_does_not_take_the_children_down(tmp_path: Path) -> None:
    def fail(_event: ChildEvent) -> None:
        raise ValueError("listener")

    with Supervisor([[python_spec(tmp_path, SERVE)]], on_event=fail) as supervisor:
        assert state_of(supervisor, "child") is ChildState.READY


def test_children_outlive_the_thread_that_called_start(tmp_path: Path) -> None:
    supervisor = Supervisor([[python_spec(tmp_path, SERVE)]])
    caller = threading.Thread(target=supervisor.start)
    caller.start()
    caller.join()
    pid = pid_of(supervisor, "child")
    time.sleep(0.3)
    assert pids.alive(pid)
    supervisor.stop()
    assert not pids.alive(pid)


def test_names_are_unique(tmp_path: Path) -> None:
    spec = python_spec(tmp_path, SERVE)
    with pytest.raises(InvariantError, match="same name"):
        Supervisor([[spec], [spec]])
