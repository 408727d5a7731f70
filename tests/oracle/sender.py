"""Sends a workload over HTTP as a patient client would: what is not acknowledged is sent again, until it is.

An `accepted` verdict in a 2xx answer makes an event an obligation: from then on the pipeline owes it.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgspec
import urllib3

from tests.oracle.workload import Issued, Workload


@dataclass(slots=True)
class Obligations:
    """What the collector acknowledged. Thread-safe by append-only use under the interpreter's lock.

    `acknowledged` counts acknowledgements per event id, `receipts` holds the latest receipt of each. `shaken` are
    visitors with a request that failed: the order of their events is not what was sent, because a part of the request
    may have arrived.
    """

    acknowledged: dict[str, int] = field(default_factory=dict)
    receipts: dict[str, str] = field(default_factory=dict)
    shaken: set[str] = field(default_factory=set)
    requests: int = 0
    retried: int = 0


class Sender:
    """`lanes` threads, each sending the events of its own visitors one request after the other."""

    def __init__(
        self, workload: Workload, *, url: str, key: str, lanes: int = 4, batch: int = 100, rate: float = 0.0
    ) -> None:
        self._workload = workload
        self._url = f"{url}/api/v1/tracking/collect/"
        self._key = key
        self._batch = batch
        self._pause_s = batch * lanes / rate if rate else 0.0
        self._lanes = lanes
        self._failure: BaseException | None = None
        self._stop = threading.Event()
        self.obligations = Obligations()
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(lanes)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    @property
    def sending(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def join(self, *, timeout_s: float) -> None:
        """Wait until everything is acknowledged. Raises what a lane failed with, or TimeoutError."""
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._failure is not None:
            raise self._failure
        if self.sending:
            self._stop.set()
            raise TimeoutError(f"not everything was acknowledged within {timeout_s:g} s")

    def _run(self, number: int) -> None:
        try:
            pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=2.0, read=30.0))
            for batch in _batches(self._workload.lane(number, self._lanes), self._batch):
                started = time.monotonic()
                self._deliver(pool, batch, random.Random(number))
                time.sleep(max(0.0, self._pause_s - (time.monotonic() - started)))
        except BaseException as error:  # noqa: BLE001 (raised by `join`)
            self._failure = error

    def _deliver(self, pool: urllib3.PoolManager, batch: list[Issued], random_: random.Random) -> None:
        delay = 0.05
        while not self._stop.is_set():
            self.obligations.requests += 1
            if self._attempt(pool, batch):
                return
            self.obligations.retried += 1
            self.obligations.shaken.update(event.visitor for event in batch)
            time.sleep(delay * (0.5 + random_.random()))
            delay = min(1.0, delay * 2)

    def _attempt(self, pool: urllib3.PoolManager, batch: list[Issued]) -> bool:
        """Send once; True if every event was accepted."""
        try:
            answer = pool.request(
                "POST",
                self._url,
                body=msgspec.json.encode({"events": [event.body for event in batch]}),
                headers={"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
            )
        except urllib3.exceptions.HTTPError:
            return False
        if answer.status not in {200, 503}:
            raise AssertionError(f"the collector answered {answer.status}: {answer.data[:500]!r}")
        if answer.status == 503:
            assert "Retry-After" in answer.headers, "a 503 without Retry-After"
            return False
        verdicts: list[dict[str, Any]] = msgspec.json.decode(answer.data)["events"]
        assert len(verdicts) == len(batch)
        for event, verdict in zip(batch, verdicts, strict=True):
            assert verdict["verdict"] == "accepted", verdict
            self.obligations.acknowledged[event.event_id] = self.obligations.acknowledged.get(event.event_id, 0) + 1
            self.obligations.receipts[event.event_id] = verdict["receipt"]
        return True


def _batches(events: Iterable[Issued], size: int) -> Iterator[list[Issued]]:
    iterator = iter(events)
    while batch := list(islice(iterator, size)):
        yield batch
