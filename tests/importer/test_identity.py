"""Ids and sessions: the same however often, and in however many pieces, a log is read."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.importer import identity
from cli.importer.identity import HOURS_REMEMBERED, SESSION_GAP_SECONDS, SESSIONS_REMEMBERED, LineIds, Visitors

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


# Few different lines and times, so that repetitions are common; times drift forward, a little out of order.
logs = st.lists(st.tuples(st.sampled_from([b"a", b"b", b"\xff", b"\xc3\xbf"]), st.integers(0, 3)), max_size=40)
visits = st.lists(st.tuples(st.sampled_from("ABC"), st.integers(-60, 2400)), max_size=40)


def line_ids(log: list[tuple[bytes, int]], ids: LineIds) -> list[str]:
    return [ids.event_id(line, at=at(second)) for line, second in log]


def sessions(steps: list[tuple[str, int]], visitors: Visitors, *, start: int = 0) -> list[tuple[str, str]]:
    out, now = [], start
    for agent, step in steps:
        now += step
        out.append(visitors.identify("1.2.3.4", agent, at=at(now)))
    return out


@given(logs, logs)
def test_event_ids_do_not_change_when_the_log_grows(log: list, more: list) -> None:
    assert line_ids(log + more, LineIds("s"))[: len(log)] == line_ids(log, LineIds("s"))


@given(logs)
def test_every_line_has_an_id_of_its_own(log: list) -> None:
    assert len(set(line_ids(log, LineIds("s")))) == len(log)


@given(logs)
def test_event_ids_depend_on_the_source(log: list) -> None:
    assert not set(line_ids(log, LineIds("s"))) & set(line_ids(log, LineIds("t")))


def test_event_ids_are_frozen() -> None:
    """Another id for the same line doubles every event ever imported: this test must never be adapted."""
    ids = LineIds("access.log")
    assert [ids.event_id(b"line \xff", at=T0) for _ in range(2)] == [
        "7b877ef6-af2b-595f-b0fa-81dd2900e280",
        "0ab409b8-3f61-5ffd-818f-f4ecb4092cb5",
    ]
    assert Visitors("access.log").identify("1.2.3.4", "agent", at=T0) == (
        "b9c662cc-ee6e-5bdc-b609-b8e3ca7b3269",
        "db1dcd6e-2063-5159-af5a-2c7df990cd51",
    )


def test_memory_of_lines_is_bounded_by_hours() -> None:
    ids = LineIds("s")
    first = ids.event_id(b"line", at=T0)
    for hour in range(1, HOURS_REMEMBERED):
        ids.event_id(b"line", at=at(3600 * hour))
    assert ids.event_id(b"line", at=T0) != first
    for hour in range(HOURS_REMEMBERED, 2 * HOURS_REMEMBERED):
        ids.event_id(b"line", at=at(3600 * hour))
    assert ids.event_id(b"line", at=T0) == first


@given(visits, visits)
def test_sessions_do_not_change_when_the_log_grows(visit: list, more: list) -> None:
    assert sessions(visit + more, Visitors("s"))[: len(visit)] == sessions(visit, Visitors("s"))


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 2400)), max_size=40))
def test_in_order_a_session_ends_after_the_gap_and_only_then(steps: list) -> None:
    last: dict[str, tuple[int, str]] = {}
    now = 0
    for (agent, step), (_, session) in zip(steps, sessions(steps, Visitors("s")), strict=True):
        now += step
        if agent in last:
            before, previous = last[agent]
            assert (session == previous) == (now - before <= SESSION_GAP_SECONDS)
        last[agent] = (now, session)


@given(visits)
def test_sessions_of_a_visitor_have_no_gap_inside(steps: list) -> None:
    times = defaultdict(list)
    now = 0
    for (_, step), session in zip(steps, sessions(steps, Visitors("s")), strict=True):
        now += step
        times[session].append(now)
    for moments in times.values():
        assert all(b - a <= SESSION_GAP_SECONDS for a, b in pairwise(sorted(moments)))


def test_a_late_line_joins_the_session_it_falls_into() -> None:
    visitors = Visitors("s")
    first, second, late, next_ = (visitors.identify("ip", "ua", at=at(s))[1] for s in (0, 7200, 60, 7260))
    assert first == late != second == next_


@pytest.mark.parametrize(("seconds", "same"), [(1800, True), (1801, False), (-1800, True), (-1801, False)])
def test_the_gap_is_half_an_hour_either_way(seconds: int, same: bool) -> None:
    visitors = Visitors("s")
    first, second = (visitors.identify("ip", "ua", at=at(s))[1] for s in (0, seconds))
    assert (first == second) is same


def test_a_late_line_does_not_shorten_its_session() -> None:
    visitors = Visitors("s")
    assert len({visitors.identify("ip", "ua", at=at(s))[1] for s in (0, 1000, 10, 2700)}) == 1


def test_visitors_differ_by_address_and_by_agent() -> None:
    visitors = Visitors("s")
    ids = {visitors.identify(ip, agent, at=T0)[0] for ip in ("1.2.3.4", "::1") for agent in ("a", "b", "")}
    assert len(ids) == 6
    assert Visitors("other").identify("::1", "a", at=T0)[0] in ids


def test_memory_of_sessions_is_bounded() -> None:
    visitors = Visitors("s")
    names = [visitors.identify("ip", "ua", at=at(7200 * n))[1] for n in range(SESSIONS_REMEMBERED + 1)]
    assert len(set(names)) == len(names)
    assert visitors.identify("ip", "ua", at=at(60))[1] not in names  # the first session is forgotten
    assert visitors.identify("ip", "ua", at=at(7200 * 8 + 60))[1] == names[8]


def test_memory_of_visitors_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "VISITORS_REMEMBERED", 2)
    visitors = Visitors("s")
    first = visitors.identify("ip", "a", at=T0)
    for agent in "bc":
        visitors.identify("ip", agent, at=T0)
    again = visitors.identify("ip", "a", at=at(1))
    assert again[0] == first[0]
    assert again[1] != first[1]
