from __future__ import annotations

import threading
from typing import cast

import pytest

from infra.clickhouse import sessions as module
from infra.clickhouse.engine import Link
from infra.clickhouse.errors import ClickHouseError
from infra.clickhouse.request import SessionRequest
from infra.clickhouse.sessions import Sessions


class FakeLink:
    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def made() -> list[FakeLink]:
    return []


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(made: list[FakeLink], clock: Clock) -> Sessions:
    def make() -> Link:
        made.append(FakeLink())
        return cast(Link, made[-1])

    return Sessions(make, clock=clock)


def ask(name: str = "s", *, seconds: float = 60, must_exist: bool = False, close: bool = False) -> SessionRequest:
    return SessionRequest(name, seconds, must_exist, close)


def test_one_connection_a_session_and_user(sessions: Sessions, made: list[FakeLink]) -> None:
    for name, user in (("s", "u"), ("s", "u"), ("s", "v"), ("t", "u")):
        with sessions.hold(ask(name), user=user):
            pass
    assert len(made) == len(sessions) == 3


def test_a_session_ends_when_idle_for_its_time(sessions: Sessions, made: list[FakeLink], clock: Clock) -> None:
    with sessions.hold(ask(seconds=10), user="u"):
        clock.now = 1000  # a long statement is not idleness
        assert sessions.sweep() == 0
    clock.now = 1009.9
    assert sessions.sweep() == 0
    clock.now = 1010
    assert sessions.sweep() == 1
    assert made[0].closed
    with pytest.raises(ClickHouseError) as caught, sessions.hold(ask(must_exist=True), user="u"):
        pass
    assert caught.value.code == 372


def test_a_second_holder_is_turned_away(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOCK_WAIT_SECONDS", 0.01)
    codes: list[int] = []

    def second() -> None:
        try:
            with sessions.hold(ask(), user="u"):
                codes.append(0)
        except ClickHouseError as error:
            codes.append(error.code)

    with sessions.hold(ask(), user="u"):
        other = threading.Thread(target=second)
        other.start()
        other.join()
    second()
    assert codes == [373, 0]


def test_a_broken_or_closed_session_is_not_inherited(sessions: Sessions, made: list[FakeLink]) -> None:
    with sessions.hold(ask(), user="u") as session:
        session.broken = True
    with sessions.hold(ask(close=True), user="u"):
        pass
    assert [link.closed for link in made] == [True, True]
    assert len(sessions) == 0


def test_the_longest_idle_makes_room(
    sessions: Sessions, made: list[FakeLink], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_SESSIONS", 2)
    for name in ("a", "b", "c"):
        clock.now += 1
        with sessions.hold(ask(name), user="u"):
            pass
    assert [link.closed for link in made] == [True, False, False]
