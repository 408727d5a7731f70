"""One numbering for the raw partitions of both lanes."""

from __future__ import annotations

import pytest

from core.lanes import Lanes
from core.settings import Settings
from core.topics import Topics, declared

LANES = Lanes.of(Settings(topic_prefix="p.", partitions=3))


def test_every_number_is_one_partition_of_one_lane() -> None:
    places = [(LANES.topic(number), LANES.home(number)) for number in LANES.numbers]
    assert places == [*(("p.raw", p) for p in range(3)), *(("p.raw_historic", p) for p in range(3))]
    assert [LANES.number(*place) for place in places] == [*LANES.numbers]
    assert [LANES.lane(number) for number in LANES.numbers] == ["live"] * 3 + ["historic"] * 3


def test_a_partition_of_both_lanes_has_two_numbers() -> None:
    assert [LANES.both(home) for home in range(3)] == [(0, 3), (1, 4), (2, 5)]


def test_another_topic_has_none() -> None:
    with pytest.raises(ValueError, match=r"p\.curated is no raw topic"):
        LANES.number("p.curated", 0)


def test_derived_topics_have_a_partition_for_each_number() -> None:
    settings = Settings(topic_prefix="p.", partitions=3)
    names = Topics.named("p.")
    partitions = {topic.name: topic.partitions for topic in declared(settings)}
    assert {partitions[names.raw], partitions[names.raw_historic]} == {3}
    assert {partitions[names.curated], partitions[names.dead_letters], partitions[names.outcomes]} == {6}
