"""What follows from a decision on dead letters: a log line, metrics, an entry of the control topic.

Each worker keeps the alerts that stand under a key of its own, so that `sluice streams status` shows those of all
workers. A halt pauses all of them through the same topic. Nothing here ever costs an event: what Kafka does not take
is logged and written with a later batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from confluent_kafka import KafkaException

from core import control
from core.clock import Clock, SystemClock
from core.errors import InputError, SluiceError
from core.log import get_logger
from core.metrics import counter, gauge
from core.settings import Settings
from streams.batch import PartitionResult, RawRecord
from streams.limits import Alert, BatchCounts, Cleared, DeadLetterLimits, Decision, Halt, Limits, counted
from streams.pause import PAUSE_KEY, Pause, halted

log = get_logger(__name__)

KEY_PREFIX = "streams/alerts/"
# A topic that takes nothing may take 10 s to say so, and batches wait meanwhile.
_RETRY_S = 60.0


def encode(alerts: Sequence[Alert]) -> bytes | None:
    """The value under a worker's key; none stand: the key is removed."""
    return msgspec.json.encode(alerts) if alerts else None


def decode(value: bytes) -> list[Alert]:
    """Raises InputError if `value` is not what `encode` makes."""
    try:
        return msgspec.json.decode(value, type=list[Alert])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"not the alerts of a worker: {error}") from error


class DeadLetterWatch:
    """The limits of one worker. `after` belongs to the thread that handles batches, the rest to the poll thread."""

    def __init__(self, settings: Settings, *, clock: Clock | None = None) -> None:
        self.key = f"{KEY_PREFIX}{settings.streams_worker_id}"
        self._settings = settings
        self._clock = clock or SystemClock()
        self._retry_at = 0.0
        self._limits = DeadLetterLimits(
            Limits(ratio=settings.dead_letter_ratio, run=settings.dead_letter_run, halt=settings.dead_letter_halt)
        )
        self._stored: bytes | None = None  # under our key, as far as is known
        self._pause = Pause()
        self._halted: str | None = None  # the contract of a halt that was written and is not yet heard of

    def stored(self, value: bytes | None) -> None:
        """The topic has `value` under our key: at the start it may be a predecessor's."""
        self._stored = value

    def paused(self, pause: Pause) -> None:
        """The topic says so, by an operator or by a halt of any worker."""
        self._pause = pause
        self._halted = None
        self._limits.accept(pause.accepted)
        gauge("sluice_streams_paused").set(pause.paused)

    def released(self, label: str, at_ms: int) -> None:
        self._limits.released(label, at_ms)

    def after(self, partitions: Mapping[int, Sequence[RawRecord]], results: Iterable[PartitionResult]) -> None:
        """Judge what a committed batch says."""
        counts = counted(partitions, results, self._limits)
        _measure(counts)
        decisions = self._limits.take(counts)
        _tell(decisions)
        self._write(encode(self._limits.alerts), next((each for each in decisions if isinstance(each, Halt)), None))

    def close(self) -> None:
        """A worker that is gone has no alerts."""
        if self._stored is not None:
            self._put({self.key: None})

    def _write(self, alerts: bytes | None, halt: Halt | None) -> None:
        """Make the topic say so, as far as it does not yet."""
        entries: dict[str, bytes | None] = {}
        if alerts != self._stored:
            entries[self.key] = alerts
        if halt and (self._pause.paused or self._halted == halt.contract):
            halt = None
        if halt:
            by = f"worker {self._settings.streams_worker_id}"
            pause = halted(halt, by=by, at_ms=self._clock.now_ms(), accepted=self._pause.accepted)
            entries[PAUSE_KEY] = msgspec.json.encode(pause)
        if not entries or self._clock.monotonic() < self._retry_at or not self._put(entries):
            return
        self._stored = alerts
        if halt:
            self._halted = halt.contract
            counter("sluice_streams_dead_letter_halts_total").labels(halt.contract).inc()
            log.error("streams.halted", **msgspec.structs.asdict(halt))

    def _put(self, entries: dict[str, bytes | None]) -> bool:
        try:
            control.put(self._settings, entries)
        except (SluiceError, KafkaException) as error:
            self._retry_at = self._clock.monotonic() + _RETRY_S
            log.warning("streams.alerts_not_stored", keys=list(entries), error=str(error))
            return False
        return True


def _measure(counts: BatchCounts) -> None:
    for (label, _), number in counts.dead.items():
        counter("sluice_streams_dead_letters_total").labels(label).inc(number)


def _tell(decisions: Iterable[Decision]) -> None:
    for each in decisions:
        match each:
            case Alert():
                log.warning("streams.dead_letter_alert", **msgspec.structs.asdict(each))
                gauge("sluice_streams_dead_letter_alert").labels(each.contract).set(1)
            case Cleared():
                log.info("streams.dead_letter_alert_cleared", **msgspec.structs.asdict(each))
                gauge("sluice_streams_dead_letter_alert").labels(each.contract).set(0)
            case Halt():
                pass  # said once it is in force
