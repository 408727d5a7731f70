"""The collector with its broker frozen, and back to Kafka: `.venv/bin/python -m bench.collector --spool`."""

from __future__ import annotations

import statistics
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import urllib3

from bench.pinning import cpu_s, rss_mib
from infra.supervisor import Supervisor

if TYPE_CHECKING:
    from bench.collector import Bench, Subject

_SETTLE_S = 4.0  # longer than an acknowledgement may take
_BATCH = 100


class Spooling:
    """Rates with the broker there and frozen, in turns on one process."""

    def __init__(self, bench: Bench, engines: Supervisor, subject: Subject) -> None:
        self._bench = bench
        self._engines = engines
        self._subject = subject

    def compare(self, rounds: int, soak_s: float) -> None:
        with self._bench.running(self._subject) as pid:
            for title, requests, connections, events in (
                ("single events, 64 connections", self._bench.singles, 64, 1),
                ("single events, 256 connections", self._bench.singles, 256, 1),
                (f"batches of {_BATCH}, 16 connections", self._bench.batches, 16, _BATCH),
            ):
                self._one(title, requests, connections, events, rounds, pid)
            if soak_s:
                self._soak(soak_s, pid)

    def _one(self, title: str, requests: Path, connections: int, events: int, rounds: int, pid: int) -> None:
        normal, spooled = [], []
        for _ in range(rounds):
            normal.append(self._measure(requests, connections, pid))
            self._engines.freeze("kafka")
            self._bench.load(requests, connections, _SETTLE_S)
            spooled.append(self._measure(requests, connections, pid))
            self._engines.thaw("kafka")
            drained = self._drained()
        for name, found in (("Kafka", normal), ("spool", spooled)):
            rate, cpu_us, p99_ms, failed = (statistics.median(values) for values in zip(*found, strict=True))
            click.echo(
                f"{title}, {name}: {rate * events:,.0f} events/s, {cpu_us / events:.1f} us CPU an event, "
                f"p99 {p99_ms:.1f} ms, {failed:.0f} failed"
            )
        ratio = statistics.median(s[0] / n[0] for s, n in zip(spooled, normal, strict=True))
        click.echo(f"{title}: spool to Kafka {ratio:.2f}; drained at {drained:,.0f} records/s")

    def _measure(self, requests: Path, connections: int, pid: int) -> tuple[float, float, float, int]:
        before = cpu_s(pid)
        found = self._bench.load(requests, connections, self._bench.seconds)
        used = cpu_s(pid) - before
        return found.requests / found.seconds, used / found.requests * 1e6, found.p99_ms, found.failed

    def _drained(self) -> float:
        """Waits until the spool is empty; the rate at which it was emptied, without any load."""
        owed, began = self._ready()["spool"]["records"], time.monotonic()
        while self._ready()["spool"]["mode"] != "direct":
            time.sleep(0.05)
        return float(owed / (time.monotonic() - began))

    def _soak(self, seconds: float, pid: int) -> None:
        """The broker frozen under full load, and the way back with the load going on."""
        self._engines.freeze("kafka")
        sizes = [rss_mib(pid)]
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self._bench.load(self._bench.singles, 256, 10.0)
            sizes.append(rss_mib(pid))
        owed = self._ready()["spool"]["records"]
        self._engines.thaw("kafka")
        stop = threading.Event()
        load = threading.Thread(target=self._keep_on, args=(stop,))
        began = time.monotonic()
        load.start()
        while self._ready()["spool"]["mode"] != "direct" and time.monotonic() - began < 20 * seconds:
            time.sleep(0.1)
        took = time.monotonic() - began
        stop.set()
        load.join()
        sizes.append(rss_mib(pid))
        click.echo(f"{owed:,} records spooled in {seconds:.0f} s; back to Kafka under full load after {took:.0f} s")
        click.echo("memory, MiB: " + " ".join(f"{size:.0f}" for size in sizes))

    def _keep_on(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self._bench.load(self._bench.singles, 256, 5.0)

    def _ready(self) -> Any:
        url = f"http://127.0.0.1:{self._bench.settings.collector_port}/health/ready"
        return urllib3.request("GET", url, timeout=10.0, retries=False).json()
