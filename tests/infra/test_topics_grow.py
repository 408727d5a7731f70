"""What is done about topics that have another number of partitions than declared. No broker: what is asked of it."""

from __future__ import annotations

import pytest
from confluent_kafka.admin import NewPartitions

from core.errors import ConfigError
from core.settings import Settings
from core.topics import declared
from infra import topics

WANTED = declared(Settings(partitions=4))
EXISTING = {topic.name: topic.partitions for topic in WANTED}


class Admin:
    def __init__(self) -> None:
        self.asked: dict[str, int] = {}

    def create_partitions(self, new: list[NewPartitions]) -> dict[str, object]:
        self.asked |= {each.topic: each.new_total_count for each in new}
        return {}


def grown(existing: dict[str, int]) -> dict[str, int]:
    topics._check_partitions(WANTED, existing)
    admin = Admin()
    topics._grow(admin, WANTED, existing)
    return admin.asked


def test_derived_topics_of_one_lane_get_the_partitions_of_the_other() -> None:
    before = EXISTING | {f"sluice.{name}": 4 for name in ("curated", "dead_letters", "outcomes")}
    del before["sluice.raw_historic"]
    assert grown(before) == {f"sluice.{name}": 8 for name in ("curated", "dead_letters", "outcomes")}


def test_topics_as_declared_stay() -> None:
    assert grown(EXISTING) == {}


@pytest.mark.parametrize(("topic", "partitions"), [("raw", 3), ("raw", 5), ("raw_historic", 3), ("curated", 9)])
def test_what_would_move_keys_is_refused(topic: str, partitions: int) -> None:
    with pytest.raises(ConfigError, match=f"sluice.{topic} has {partitions} partitions"):
        topics._check_partitions(WANTED, EXISTING | {f"sluice.{topic}": partitions})
