"""Live rows of a day go to a new generation from some moment on, and the generations before it stand still.

No sink is asked to stop. A sink commits its plan, which names the generation, before it inserts, and then looks which
generation is live; if that changed, it commits the plan anew and has sent nothing yet. The run opens the tail first and
looks at the plans afterwards. So for every partition either the run sees the plan and waits until it is done, or the
sink sees the tail. A plan of a sink that is dead stays: whoever continues it finishes that block where it may already
be, in the old generation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from core import kafka
from core.errors import UnavailableError
from core.log import get_logger
from core.settings import Settings
from core.topics import Topics
from sinks.plan import Plan

log = get_logger(__name__)

HANDOVER_S = 60.0
_TIMEOUT_S = 10.0
_BETWEEN_LOOKS_S = 0.05


@dataclass(frozen=True, slots=True)
class Committed:
    """How far a sink has stored one curated partition (`offset` is the next record), and what it may be inserting."""

    offset: int
    plan: Plan | None


Plans = Callable[[], Mapping[int, Committed]]


def sink_group(settings: Settings) -> str:
    """The consumer group of the sinks that fill `events_log`."""
    return f"{settings.topic_prefix}sink.events"


class SinkPlans:
    """What the sinks of one group have committed, asked from Kafka each time."""

    def __init__(self, settings: Settings) -> None:
        self._topic = Topics.named(settings.topic_prefix).curated
        self._group = sink_group(settings)
        self._admin = AdminClient(kafka.common(settings))

    def __call__(self) -> dict[int, Committed]:
        """By partition; none for a partition that nothing was ever stored of.

        Raises:
            UnavailableError: Kafka does not answer.
        """
        asked = ConsumerGroupTopicPartitions(self._group)
        try:
            answer = self._admin.list_consumer_group_offsets([asked], request_timeout=_TIMEOUT_S)[self._group]
            found: list[TopicPartition] = answer.result(_TIMEOUT_S).topic_partitions
        except KafkaException as error:
            raise kafka.unavailable(error, "the sinks' plans were looked up") from error
        return {
            each.partition: Committed(each.offset, Plan.parse(each.metadata))
            for each in found
            if each.topic == self._topic and each.offset >= 0
        }


def wait_for_sinks(plans: Plans, *, timeout_s: float, sleep: Callable[[float], None] = time.sleep) -> dict[int, int]:
    """Return once every plan that is there now is done; the curated offset from which each partition writes anew.

    Raises:
        UnavailableError: a plan is still there after `timeout_s` seconds.
    """
    seen = plans()
    waiting = {partition: each.plan for partition, each in seen.items() if each.plan is not None}
    deadline = time.monotonic() + timeout_s
    while waiting:
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"sinks have not finished blocks of the partitions {sorted(waiting)} within {timeout_s:g} s",
                hint="A block that was begun before the day was taken over has to be stored first: are the sinks up?",
            )
        sleep(_BETWEEN_LOOKS_S)
        seen = plans()
        waiting = {
            partition: plan
            for partition, plan in waiting.items()
            if (now := seen.get(partition)) is not None and now.plan is not None and _same_block(now.plan, plan)
        }
    return {partition: each.offset for partition, each in seen.items()}


def _same_block(now: Plan, then: Plan) -> bool:
    """A later attempt at a block is that block; the same records planned for another generation are not."""
    return now.first == then.first and now.generation == then.generation
