"""Whose block goes next: live events first, and nothing stands still."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.lanes import Lanes
from core.settings import Settings
from core.topics import Topics
from sinks.partition import PartitionBuffer
from sinks.tables import filled
from sinks.turns import AT_LEAST_S, LIVE_S, LONGER, Rank, Turns

SETTINGS = Settings(partitions=4)
TOPICS = Topics.named(SETTINGS.topic_prefix)
NOW = 1_000.0


def turns(places: int = 2) -> Turns:
    return Turns(Lanes.of(SETTINGS), TOPICS, places=places)


def buffer(number: int, *, topic: str = TOPICS.curated, since: float = NOW) -> PartitionBuffer:
    return PartitionBuffer(topic, number, 0, waiting_since=since)


def archive(number: int, *, since: float = NOW) -> PartitionBuffer:
    return buffer(number, topic=TOPICS.raw, since=since)


def busy(found: Turns) -> Turns:
    """A block of each rank has just begun."""
    for each in (buffer(7), archive(0), buffer(0)):
        assert found.next([each], [], now=NOW) is each
    return found


def test_every_partition_that_a_sink_reads_has_a_rank() -> None:
    by_number = {TOPICS.curated: Rank.EVENTS, TOPICS.dead_letters: Rank.LIVE, TOPICS.outcomes: Rank.LIVE}
    for topic in filled(TOPICS):
        for partition in range(8):
            found = turns().rank(topic, partition)
            if topic in by_number:
                assert found is (by_number[topic] if partition < 4 else Rank.HISTORIC)
            else:
                assert found is (Rank.HISTORIC if topic == TOPICS.raw_historic else Rank.LIVE)


def test_by_rank_and_of_one_rank_what_has_waited_longest() -> None:
    found = busy(turns(places=4))
    due = [buffer(6, since=1), buffer(5, since=0), archive(3, since=0), buffer(1, since=9), buffer(2, since=8)]
    order = []
    while (each := found.next(due, [], now=NOW)) is not None:
        due.remove(each)
        order.append((each.topic, each.number))
    assert order == [
        (TOPICS.curated, 2),
        (TOPICS.curated, 1),
        (TOPICS.raw, 3),
        (TOPICS.curated, 5),
        (TOPICS.curated, 6),
    ]


def test_one_place_is_kept_from_imports_while_live_events_come() -> None:
    found = busy(turns(places=2))
    historic, running = [buffer(5), buffer(6)], [buffer(4)]
    assert found.next(historic, running, now=NOW) is None
    for live in (buffer(0), archive(0)):
        assert found.next([*historic, live], running, now=NOW) is live
    assert found.next(historic, running, now=NOW + LIVE_S) is not None, "nothing live for a while: both places"


def test_with_one_place_a_live_block_waits_for_one_historic_block_at_most() -> None:
    found = busy(turns(places=1))
    live, historic = buffer(0), buffer(5)
    assert found.next([historic, live], [], now=NOW) is live
    assert found.next([historic], [live], now=NOW) is None
    assert found.next([historic], [], now=NOW) is historic


def test_rows_gather_for_longer_only_while_live_events_come() -> None:
    found = turns()
    by_rank = {Rank.EVENTS: buffer(0), Rank.LIVE: archive(0), Rank.HISTORIC: buffer(5)}
    assert [found.linger_s(each, 0.2, now=NOW) for each in by_rank.values()] == [0.2] * 3
    busy(found)
    for rank, each in by_rank.items():
        assert found.linger_s(each, 0.2, now=NOW) == pytest.approx(0.2 * LONGER[rank])
        assert found.linger_s(each, 0.2, now=NOW + LIVE_S) == 0.2


@pytest.mark.parametrize("places", [1, 2, 3])
def test_nothing_stands_still_however_many_live_events_wait(places: int) -> None:
    found, now = turns(places), NOW
    last = dict.fromkeys(Rank, NOW)
    for _ in range(200):
        now += 0.1
        each = found.next([buffer(0), buffer(1), archive(1), buffer(6)], [], now=now)
        assert each is not None
        last[found.rank(each.topic, each.number)] = now
        for rank, at in last.items():
            assert now - at <= AT_LEAST_S[rank] + 0.5, rank


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.sets(st.integers(0, 11)), st.integers(1, 4), st.floats(0, 3)), min_size=1, max_size=60),
)
def test_whatever_is_due(places: int, steps: list[tuple[set[int], int, float]]) -> None:
    """Blocks of ever different partitions are due, and take a few steps each. From 8 on they are of the archive."""
    found, now = turns(places), NOW
    under_way: list[tuple[PartitionBuffer, int]] = []
    for step, (numbers, length, later) in enumerate(steps):
        now += later
        under_way = [(each, ends) for each, ends in under_way if ends > step]
        running = [each for each, _ in under_way]
        wanted = [buffer(n) if n < 8 else archive(n - 8) for n in numbers]
        due = [each for each in wanted if each not in running]
        each = found.next(due, running, now=now)
        ranks = {found.rank(one.topic, one.number) for one in due}
        if each is not None:
            assert each in due
            assert len(running) < places
            under_way.append((each, step + length))
        elif len(running) < places:
            assert ranks <= {Rank.HISTORIC}, "a place is kept from imports alone"
            assert not due or running, "and not the only one in use"
