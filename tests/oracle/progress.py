"""How far the outcomes have come, as they become visible, and for how long each partition stood still."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from confluent_kafka import Consumer, TopicPartition

from core import kafka
from core.lanes import Lanes
from core.settings import Settings
from core.topics import Topics
from streams.records import decode_outcome

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Stall:
    """A time in which nothing of `partition` was committed."""

    partition: int
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass(slots=True)
class Progress:
    """Follows the outcome topic in a thread. Stalls are kept from `begin` to `end`, while every partition has work."""

    settings: Settings
    longer_than_s: float = 1.0
    stalls: list[Stall] = field(default_factory=list)
    covered: dict[int, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    _moved_at: dict[int, float] = field(default_factory=dict)
    _measuring: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _ends: Consumer | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._thread.start()

    def begin(self) -> None:
        self._moved_at = dict.fromkeys(Lanes.of(self.settings).numbers, time.monotonic())
        self._measuring = True

    def end(self) -> None:
        self._measuring = False

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_TIMEOUT_S)
        if self._ends is not None:
            self._ends.close()

    def complete(self) -> bool:
        """Whether every raw record has an outcome."""
        return not any(self.pending().values())

    def pending(self) -> dict[int, int]:
        """Raw records without an outcome, by partition."""
        if self._ends is None:
            self._ends = Consumer(kafka.reader(self.settings, name="ends"))
        lanes = Lanes.of(self.settings)
        pending = {}
        for number in lanes.numbers:
            place = TopicPartition(lanes.topic(number), lanes.home(number))
            _, end = self._ends.get_watermark_offsets(place, timeout=_TIMEOUT_S)
            pending[number] = end - self.covered.get(number, 0)
        return pending

    def _run(self) -> None:
        reader = Consumer(kafka.reader(self.settings, name="progress") | {"enable.partition.eof": False})
        topic = Topics.named(self.settings.topic_prefix).outcomes
        reader.assign([TopicPartition(topic, p, 0) for p in Lanes.of(self.settings).numbers])
        try:
            while not self._stop.is_set():
                message = reader.poll(0.1)
                if message is not None and message.error() is None:
                    self._moved(message.partition(), decode_outcome(message.value()).last + 1)
        except Exception as error:  # noqa: BLE001 (the verdict says it)
            self.failures.append(repr(error))
        finally:
            reader.close()

    def _moved(self, partition: int, covered: int) -> None:
        now = time.monotonic()
        self.covered[partition] = covered
        if not self._measuring:
            return
        if now - self._moved_at[partition] > self.longer_than_s:
            self.stalls.append(Stall(partition, self._moved_at[partition], now))
        self._moved_at[partition] = now
