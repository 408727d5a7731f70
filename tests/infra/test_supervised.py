"""The supervisor's decisions, by a clock that moves when told and children that only pretend."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from core.clock import ManualClock
from core.errors import ConfigError, StateError, UnavailableError, UsageError
from infra.backoff import Backoff
from infra.child_events import ChildEvent, ChildState, Exited, Ready, Restarting, Started, Stopped
from infra.process import ChildSpec
from infra.supervised import Supervised
from infra.supervisor import Supervisor
from tests.infra.children import FakeChild


class Scene:
    def __init__(self, **fields: Any) -> None:
        self.clock = ManualClock()
        self.events: list[ChildEvent] = []
        spec = ChildSpec(name="x", argv=("x",), env={}, log_path=Path("x.log"), **fields)
        self.fake = FakeChild(spec)
        self.child = Supervised(spec, self.fake, clock=self.clock, emit=self.events.append)

    def be_ready(self) -> None:
        self.fake.ready = True
        self.child.step()
        assert self.child.state is ChildState.READY

    def fall(self, code: int = 1) -> float:
        """End it and return how long the child then waits for its restart."""
        self.fake.code = code
        self.child.step()
        event = self.events[-1]
        assert isinstance(event, Restarting)
        return event.after_s


def test_backoff_doubles_to_its_bound_and_forgets_after_a_steady_life() -> None:
    backoff = Backoff()
    assert [backoff.after(1) for _ in range(8)] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15.0])
    assert backoff.after(29.9) == 15.0
    assert backoff.after(30.0) == 0.2
    assert backoff.after(0.0) == 0.4


def test_a_life_in_events() -> None:
    s = Scene()
    s.child.start()
    s.clock.advance(1.5)
    s.be_ready()
    s.fake.code = -9
    s.child.step()
    s.clock.advance(0.19)
    s.child.step()
    assert s.fake.starts == 1
    s.clock.advance(0.02)
    s.child.step()
    assert s.fake.starts == 2
    s.be_ready()
    s.child.begin_stop()
    assert s.child.step_stop()
    assert s.events == [
        Started("x", 1001), Ready("x", 1.5), Exited("x", "code -9"), Restarting("x", 0.2), Started("x", 1002),
        Ready("x", 0.0), Stopped("x"),
    ]  # fmt: skip
    status = s.child.status()
    assert (status.restarts, status.last_reason, status.state, status.pid) == (1, "code -9", ChildState.STOPPED, None)


def test_a_child_that_was_ready_once_is_never_given_up() -> None:
    s = Scene()
    s.child.start()
    s.be_ready()
    delays = []
    for code in (1, 78, 75, 73, 1, 70, 1, 1, 1, 1):  # even codes that are hopeless at a first start
        delays.append(s.fall(code))
        s.clock.advance(delays[-1])
        s.child.step()
    assert delays == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15, 15, 15])
    assert s.child.fatal is None
    assert s.fake.starts == 11
    s.be_ready()
    s.clock.advance(30)
    assert s.fall() == pytest.approx(0.2)


@pytest.mark.parametrize("code", [73, 75, 78])
def test_a_first_start_that_says_trying_is_useless(code: int) -> None:
    s = Scene()
    s.child.start()
    s.fake.code = code
    s.child.step()
    assert s.child.fatal is not None
    s.clock.advance(100)
    s.child.step()
    assert s.fake.starts == 1


def test_a_first_start_gets_three_attempts() -> None:
    s = Scene()
    s.child.start()
    for attempt in (1, 2):
        s.clock.advance(s.fall())
        s.child.step()
        assert s.fake.starts == attempt + 1
        assert s.child.fatal is None
    s.fake.code = 1
    s.child.step()
    assert isinstance(s.child.fatal, UnavailableError)


def test_not_ready_in_time_at_the_first_start_is_fatal_once_the_child_is_gone() -> None:
    s = Scene(ready_timeout_s=5)
    s.child.start()
    s.clock.advance(5.1)
    s.child.step()
    assert s.fake.signals == [signal.SIGKILL]
    assert s.child.fatal is None  # it may still hold ports and locks
    s.child.step()
    assert s.child.fatal is not None


def test_a_child_that_takes_its_time_to_die_is_killed_once_and_not_replaced_meanwhile() -> None:
    s = Scene(ready_timeout_s=5)
    s.child.start()
    s.be_ready()
    s.clock.advance(s.fall())
    s.child.step()
    kills: list[str] = []
    s.fake.kill = lambda: kills.append("kill")  # type: ignore[method-assign]
    s.clock.advance(5.1)
    for _ in range(3):
        s.child.step()
        s.clock.advance(60)
    assert (kills, s.fake.starts) == (["kill"], 2)


def test_not_ready_in_time_later_is_retried_with_doubled_patience() -> None:
    s = Scene(ready_timeout_s=5)
    s.child.start()
    s.be_ready()
    s.clock.advance(s.fall())
    for patience in (5, 10, 20):
        s.child.step()
        assert s.child.state == ChildState.STARTING
        s.clock.advance(patience)
        s.child.step()
        assert s.fake.code is None
        s.clock.advance(0.1)
        s.child.step()
        s.child.step()
        assert s.child.status().state is ChildState.BACKOFF
        s.clock.advance(15)
    assert s.child.fatal is None


def test_a_child_that_does_not_stop_is_killed_after_its_grace() -> None:
    s = Scene(stop_grace_s=3)
    s.child.start()
    s.be_ready()
    s.fake.obeys = False
    s.child.begin_stop()
    s.child.begin_stop()
    s.clock.advance(3)
    assert not s.child.step_stop()
    s.clock.advance(0.1)
    assert not s.child.step_stop()
    assert s.child.step_stop()
    assert s.fake.signals == [signal.SIGTERM, signal.SIGKILL]
    assert s.events[-1] == Stopped("x")


def test_a_child_stopped_while_it_waits_for_its_restart_stays_down() -> None:
    s = Scene()
    s.child.start()
    s.be_ready()
    s.fall()
    s.child.begin_stop()
    s.clock.advance(100)
    s.child.step()
    assert s.child.step_stop()
    assert s.fake.starts == 1


def test_a_start_that_the_system_refuses_is_fatal() -> None:
    s = Scene()

    def refuse() -> None:
        raise StateError("no such folder")

    s.fake.start = refuse  # type: ignore[method-assign]
    s.child.start()
    assert s.child.fatal is not None
    assert s.child.status().last_reason == "no such folder"


def test_the_next_group_starts_when_all_of_the_one_before_are_ready() -> None:
    fakes: dict[str, FakeChild] = {}

    def new_child(spec: ChildSpec) -> FakeChild:
        return fakes.setdefault(spec.name, FakeChild(spec))

    specs = {n: ChildSpec(name=n, argv=("x",), env={}, log_path=Path("x")) for n in "abc"}
    supervisor = Supervisor([[specs["a"], specs["b"]], [specs["c"]]], clock=ManualClock(), new_child=new_child)
    supervisor.step()
    assert [f.starts for f in fakes.values()] == [1, 1, 0]
    fakes["a"].ready = True
    supervisor.step()
    assert fakes["c"].starts == 0
    fakes["b"].ready = True
    supervisor.step()
    assert fakes["c"].starts == 1
    fakes["a"].code = 1  # a fall in an earlier group does not touch the later one
    fakes["c"].ready = True
    supervisor.step()
    assert [s.state.value for s in supervisor.status()] == ["restarting", "ready", "ready"]
    with pytest.raises(UsageError, match="there is no child d"):
        supervisor.kill("d")


def test_hopeless_errors_keep_their_class(tmp_path: Path) -> None:
    s = Scene()
    error = ConfigError("bad")
    s.fake.failure = lambda: error  # type: ignore[method-assign]
    s.child.start()
    s.fake.code = 78
    s.child.step()
    assert s.child.fatal is error
