"""Topics as declared, before any broker sees them."""

from __future__ import annotations

from dataclasses import astuple

import pytest

from core.settings import Settings
from core.topics import MAX_MESSAGE_BYTES, MAX_RAW_MESSAGE_BYTES, Topic, Topics, declared

SETTINGS = Settings(
    topic_prefix="p.", partitions=8, replication_factor=3, raw_retention_hours=48, curated_retention_hours=24
)


def by_name(settings: Settings = SETTINGS) -> dict[str, Topic]:
    return {topic.name: topic for topic in declared(settings)}


def test_every_named_topic_is_declared_once() -> None:
    names = [topic.name for topic in declared(SETTINGS)]
    assert sorted(names) == sorted(astuple(Topics.named("p.")))
    assert len(set(names)) == len(names)
    assert Topics.named("p.").raw == "p.raw"


@pytest.mark.parametrize("name", ["curated", "dead_letters", "outcomes"])
def test_derived_topics_have_a_partition_for_each_raw_one(name: str) -> None:
    """A batch's output goes to the number of its raw partition: fewer there would lose some."""
    topics = by_name()
    assert (topics["p.raw"].partitions, topics["p.raw_historic"].partitions) == (8, 8)
    assert topics[f"p.{name}"].partitions == 16


def test_windows_of_raw_are_asked_for_by_arrival() -> None:
    raw = by_name()["p.raw"].config
    assert raw["message.timestamp.type"] == "LogAppendTime"
    assert raw["retention.ms"] == str(48 * 3_600_000)


@pytest.mark.parametrize("name", ["curated", "dead_letters", "outcomes"])
def test_derived_records_keep_the_raw_records_time(name: str) -> None:
    config = by_name()[f"p.{name}"].config
    assert config["message.timestamp.type"] == "CreateTime"
    assert config["retention.ms"] == str(24 * 3_600_000)


def test_control_keeps_the_latest_word() -> None:
    control = by_name()["p.control"]
    assert (control.partitions, control.config["cleanup.policy"]) == (1, "compact")


@pytest.mark.parametrize(("copies", "in_sync"), [(1, "1"), (2, "1"), (3, "2")])
def test_one_broker_may_be_away(copies: int, in_sync: str) -> None:
    for topic in declared(Settings(replication_factor=copies)):
        assert (topic.replication_factor, topic.config["min.insync.replicas"]) == (copies, in_sync)


def test_every_topic_takes_the_largest_event() -> None:
    for topic in declared(Settings()):
        least = MAX_RAW_MESSAGE_BYTES if topic.name in {"sluice.raw", "sluice.raw_historic"} else MAX_MESSAGE_BYTES
        assert int(topic.config["max.message.bytes"]) == least
    assert MAX_MESSAGE_BYTES > MAX_RAW_MESSAGE_BYTES, "a dead letter holds a raw record and more"
