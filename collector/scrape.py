"""`/metrics` of all collector processes on one port, whichever of them is asked.

Alone, a process answers for itself. As one of several it writes its samples to a file every second, and who is asked
answers with its own and what the files of the others hold, each sample with a label `worker`. A process that is gone is
left out once its file is old: what it counted was counted until then.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import suppress

import msgspec
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from core.log import get_logger
from core.settings import Settings

log = get_logger(__name__)

WRITE_S = 1.0
# A process that is busy writes late; one that is gone is not counted for ever.
STALE_S = 15.0


class _Family(msgspec.Struct, frozen=True):
    name: str
    help: str
    type: str
    samples: list[tuple[str, dict[str, str], float]]


_decode = msgspec.json.Decoder(list[_Family]).decode


class Scrape:
    """`text` is the answer; `run` keeps the file of this process up to date until it is cancelled."""

    def __init__(self, settings: Settings) -> None:
        self._worker = settings.collector_worker_id if settings.collector_workers > 1 else ""
        self._workers = {str(number) for number in range(settings.collector_workers)}
        self._folder = settings.state_dir / "collector" / "metrics"

    def text(self) -> bytes:
        if not self._worker:
            return generate_latest()
        registry = CollectorRegistry()
        registry.register(_Fixed(self._all()))
        return generate_latest(registry)

    async def run(self) -> None:
        while self._worker:
            try:
                self._write()
            except OSError as error:
                log.warning("metrics.not_written", error=str(error))
            await asyncio.sleep(WRITE_S)

    def _write(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._worker}.json"
        beside = path.with_suffix(f".{os.getpid()}")
        beside.write_bytes(msgspec.json.encode(_own()))
        beside.replace(path)

    def _all(self) -> Iterator[Metric]:
        """Families of all processes: one of each name, with the samples of all."""
        found: dict[str, Metric] = {}
        workers = {self._worker: _own(), **dict(self._others())}
        for worker, families in sorted(workers.items()):
            for family in families:
                metric = found.setdefault(family.name, Metric(family.name, family.help, family.type))
                for name, labels, value in family.samples:
                    metric.add_sample(name, labels | {"worker": worker}, value)
        yield from found.values()

    def _others(self) -> Iterator[tuple[str, list[_Family]]]:
        oldest = time.time() - STALE_S
        # By name: a listing can miss a file that is being replaced.
        for worker in self._workers - {self._worker}:
            path = self._folder / f"{worker}.json"
            with suppress(OSError, msgspec.DecodeError):  # being replaced, or another version's
                if path.stat().st_mtime > oldest:
                    yield worker, _decode(path.read_bytes())


class _Fixed(Collector):
    def __init__(self, families: Iterator[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> list[Metric]:
        return self._families


def _own() -> list[_Family]:
    return [
        _Family(
            metric.name,
            metric.documentation,
            metric.type,
            [(sample.name, dict(sample.labels), sample.value) for sample in metric.samples],
        )
        for metric in REGISTRY.collect()
    ]
