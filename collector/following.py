"""The control topic as a collector follows it: tracking keys and flags, in a thread of their own, which also tells what
was refused and dropped.

Requests never wait for it. Until it has read what was there at the start, keys may be unknown that are good, and the
table says so. What cannot be followed any more ends the process: a collector that does not hear of revocations would
go on taking events.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from confluent_kafka import KafkaException, Producer

from collector.abuse import AbuseLog
from collector.drops import DropLog
from collector.key_entries import USED
from collector.key_table import KeyTable
from core import kafka
from core.beside import Beside
from core.clock import Clock, SystemClock
from core.control import ControlFollower
from core.errors import SluiceError
from core.flags import Flags
from core.lifecycle import die
from core.log import get_logger
from core.settings import Settings
from core.topics import Topics

log = get_logger(__name__)

# How soon a stop is noticed; entries are taken as they come.
_WAIT_S = 0.2
_REPORT_S = 5.0
# How exact "last used" is. Shorter writes more entries: one a key and interval, from all collectors together.
USED_EVERY_MS = 5 * 60 * 1000
_FLUSH_S = 2.0


class Following:
    """`on_loaded` is called once, in the thread, when what was there at the start is taken."""

    def __init__(
        self,
        settings: Settings,
        *,
        keys: KeyTable,
        flags: Flags,
        abuse: AbuseLog,
        drops: DropLog,
        on_loaded: Callable[[], None],
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._topic = Topics.named(settings.topic_prefix).control
        self._keys = keys
        self._flags = flags
        self._abuse = abuse
        self._drops = drops
        self._on_loaded = on_loaded
        self._clock = clock or SystemClock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write what is still to be told, within seconds."""
        self._stopping.set()
        self._thread.join(_FLUSH_S + 1)

    def _run(self) -> None:
        try:
            self._follow()
        except (KafkaException, SluiceError) as error:
            die("collector.control_failed", error=str(error))
        except Exception:  # noqa: BLE001 (nobody would see a thread die)
            die("collector.control_failed")

    def _follow(self) -> None:
        follower = ControlFollower(self._settings, self._take, name="collector")
        producer = Producer(kafka.producer(self._settings) | {"enable.idempotence": False})
        follower.begin()
        self._tell_drops(producer)
        report_at = time.monotonic() + _REPORT_S
        while not self._stopping.is_set():
            follower.poll(_WAIT_S)
            if follower.caught_up and not self._keys.loaded:
                self._keys.loaded = True
                log.info("collector.keys_loaded", keys=len(self._keys))
                self._on_loaded()
            if time.monotonic() >= report_at:
                report_at = time.monotonic() + _REPORT_S
                self._report(producer)
                self._tell_drops(producer)
            producer.poll(0)
        self._report(producer)
        self._tell_drops(producer, closing=True)
        producer.flush(_FLUSH_S)
        follower.close()

    def _take(self, name: str, value: bytes | None) -> None:
        self._keys.take(name, value)
        self._flags.take(name, value)

    def _report(self, producer: Producer) -> None:
        """Nothing is promised of these: what Kafka does not take is gone, and told again after the next use."""
        used = self._keys.used_since(self._clock.now_ms() - USED_EVERY_MS)
        marks = [Beside(self._topic, f"{USED}{key_id}".encode(), b"%d" % at_ms) for key_id, at_ms in used.items()]
        for each in (*marks, *self._abuse.told()):
            try:
                producer.produce(each.topic, each.value, each.key)
            except BufferError:
                return

    def _tell_drops(self, producer: Producer, *, closing: bool = False) -> None:
        """Until Kafka has them: `DropLog` tells again what it has not."""
        telling = self._drops.telling(closing=closing)
        if telling is None:
            return
        record, told = telling
        try:
            producer.produce(
                record.topic, record.value, record.key, on_delivery=lambda error, _: told(stored=error is None)
            )
        except BufferError:
            told(stored=False)
