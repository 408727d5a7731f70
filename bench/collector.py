"""What a request costs the collector, everything on, acks=all of a real Kafka: `.venv/bin/python -m bench.collector`.

One server process on one core, the load and the broker on the other. In one run it is compared with (a) the same server
with a handler that only publishes, and (b) FastAPI with aiokafka. CPU is that of the whole server process, all threads,
kernel included; each figure is the median of rounds in which the servers take turns.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import urllib3

from bench import load
from bench.collect_events import collect_events
from bench.pinning import cpu_s, pinned, rss_mib
from bench.spooling import Spooling
from core.settings import Settings
from infra import ports, topics
from infra.kafka import broker
from infra.process import Child, ChildSpec
from infra.supervisor import Supervisor

_ROOT = Path(__file__).parents[1]
_EVENTS = 4_000
_BATCH = 100
_KEY = "slc_live_bench_0123456789abcdef"
_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
_SERVER_CORE, _LOAD_CORE = 0, 1
_WARM_S = 2.0
_OURS, _BARE, _FASTAPI = "collector", "only publishes (a)", "FastAPI + aiokafka (b)"


@dataclass(frozen=True)
class Subject:
    name: str
    argv: tuple[str, ...]
    batches: bool = True


@dataclass(frozen=True)
class Measured:
    cpu_us: float
    rate: float
    p99_ms: float
    rss_mib: float
    failed: int


@click.command()
@click.option("--seconds", default=8.0, show_default=True, help="Length of each measurement.")
@click.option("--rounds", default=3, show_default=True, help="Measurements of each server; the median counts.")
@click.option("--soak-s", default=0.0, show_default=True, help="Full load for so long at the end, and memory over it.")
@click.option("--spool", is_flag=True, help="Measure the spool instead: the broker frozen, and what comes after.")
@click.option("--own-generator", is_flag=True, help="Use our load generator even where wrk is installed.")
@click.option(
    "--fastapi-python",
    default=sys.executable,
    help="A Python that has bench/requirements.txt installed; (b) is left out where it has not.",
)
def main(*, seconds: float, rounds: int, soak_s: float, spool: bool, own_generator: bool, fastapi_python: str) -> None:
    """Measure the collector beside (a) and (b).

    The load comes from wrk where it is installed (Debian's package of that name), else from bench.load, which is also
    used where a rate is held. Where the machine has two cores, the server has one and everything else the other.
    """
    subjects = [
        Subject(_OURS, (sys.executable, "-m", "cli", "collector")),
        Subject(_BARE, (sys.executable, "-m", "bench.publish_only")),
    ]
    if _has_fastapi(fastapi_python):
        subjects.append(Subject(_FASTAPI, (fastapi_python, "-m", "bench.fastapi_collector"), batches=False))
    else:
        click.echo("(b) is left out: install bench/requirements.txt")
    click.echo(f"load from {'bench.load' if own_generator or not load.WRK else 'wrk'}")
    pinned(_LOAD_CORE)  # the broker inherits it
    with TemporaryDirectory() as folder:
        settings = Settings(state_dir=Path(folder) / "kafka", kafka_heap_mib=1024, raw_retention_hours=1)
        prepared = broker.prepare(settings)
        with Supervisor([[prepared.spec]]) as engines:
            settings = replace(
                settings,
                kafka_bootstrap=prepared.bootstrap,
                bootstrap_key=_KEY,
                collector_port=ports.pick()[0],
                limit_client_per_minute=10**9,  # never reached, always counted
            )
            topics.apply(settings)
            bench = Bench(settings, Path(folder), seconds=seconds, own=own_generator)
            if spool:
                Spooling(bench, engines, subjects[0]).compare(rounds, soak_s)
                return
            bench.compare(subjects, rounds)
            bench.latency(subjects[0])
            if soak_s:
                bench.soak(subjects[0], soak_s)


class Bench:
    def __init__(self, settings: Settings, folder: Path, *, seconds: float, own: bool) -> None:
        self.settings = settings
        self.seconds = seconds
        self._own = own
        events = collect_events(_EVENTS)
        batches = [b"[%s]" % b",".join(events[at : at + _BATCH]) for at in range(0, _EVENTS, _BATCH)]
        self.singles, self.batches = folder / "singles", folder / "batches"
        load.write_requests(self.singles, [_request(event) for event in events])
        load.write_requests(self.batches, [_request(batch) for batch in batches])
        self._peak = 0.0

    def compare(self, subjects: list[Subject], rounds: int) -> None:
        for connections in (64, 256):
            found: dict[str, list[Measured]] = {subject.name: [] for subject in subjects}
            for _ in range(rounds):
                for subject in subjects:
                    found[subject.name].append(self._measure(subject, self.singles, connections))
            _show(f"single events, {connections} connections", found, per="request")
            self._peak = max(self._peak, statistics.median(each.rate for each in found[_OURS]))
        both = {s.name: [self._measure(s, self.batches, 16) for _ in range(rounds)] for s in subjects if s.batches}
        _show(f"batches of {_BATCH}, 16 connections", both, per="event", events=_BATCH)

    def latency(self, subject: Subject) -> None:
        rate = self._peak / 2
        with self.running(subject):
            found = self.load(self.singles, 256, self.seconds, rate=rate)  # fewer cannot carry it
        click.echo(
            f"half the peak rate ({rate:,.0f}/s asked, {found.requests / found.seconds:,.0f}/s done): "
            f"p50 {found.p50_ms:.1f} ms, p99 {found.p99_ms:.1f} ms, {found.failed} failed"
        )

    def soak(self, subject: Subject, seconds: float) -> None:
        with self.running(subject) as pid:
            sizes = [rss_mib(pid)]
            ends = time.monotonic() + seconds
            while time.monotonic() < ends:
                self.load(self.singles, 256, min(30.0, seconds))
                sizes.append(rss_mib(pid))
        click.echo("memory under full load, MiB every 30 s: " + " ".join(f"{size:.0f}" for size in sizes))

    def _measure(self, subject: Subject, requests: Path, connections: int) -> Measured:
        with self.running(subject) as pid:
            self.load(requests, connections, _WARM_S)
            before = cpu_s(pid)
            found = self.load(requests, connections, self.seconds)
            used = cpu_s(pid) - before
            return Measured(
                used / found.requests * 1e6, found.requests / found.seconds, found.p99_ms, rss_mib(pid), found.failed
            )

    def load(self, requests: Path, connections: int, seconds: float, *, rate: float = 0.0) -> load.Load:
        return load.run(
            requests,
            port=self.settings.collector_port,
            connections=connections,
            seconds=seconds,
            core=_LOAD_CORE,
            rate=rate,
            own=self._own,
        )

    @contextmanager
    def running(self, subject: Subject) -> Iterator[int]:
        env = {key: os.environ[key] for key in ("HOME", "LANG", "PATH") if key in os.environ}
        url = f"http://127.0.0.1:{self.settings.collector_port}/health/ready"
        child = Child(
            ChildSpec(
                name="server",
                argv=subject.argv,
                env=env | self.settings.to_env() | {"PYTHONPATH": str(_ROOT)},
                log_path=self.settings.state_dir / "server.log",
                ready=lambda: _answers(url),
                stop_grace_s=20.0,
            )
        )
        child.start()
        try:
            child.wait_ready()
            pid = child.pid or 0
            for thread in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), {_SERVER_CORE})
            yield pid
        finally:
            child.stop()


def _has_fastapi(python: str) -> bool:
    try:
        tried = subprocess.run([python, "-c", "import fastapi, aiokafka"], check=False, capture_output=True)
    except OSError:
        return False
    return tried.returncode == 0


def _answers(url: str) -> bool:
    try:
        return urllib3.request("GET", url, timeout=2.0, retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def _request(body: bytes) -> bytes:
    return (
        b"POST /api/v1/tracking/collect/ HTTP/1.1\r\nHost: collect.shop.example\r\nUser-Agent: %s\r\nAccept: */*\r\n"
        b"Accept-Language: de-CH,de;q=0.9\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
        b"Origin: https://shop.example\r\nContent-Length: %d\r\n\r\n%s"
        % (_AGENT.encode(), _KEY.encode(), len(body), body)
    )


def _show(title: str, found: dict[str, list[Measured]], *, per: str, events: int = 1) -> None:
    click.echo(title)
    ours = statistics.median(each.cpu_us for each in found[_OURS])
    for name, each in found.items():
        middle = Measured(*(statistics.median(getattr(one, name) for one in each) for name in Measured.__annotations__))
        ratio = "" if name == _OURS else f"  collector / this {ours / middle.cpu_us:.2f}"
        click.echo(
            f"  {name:24} {middle.cpu_us / events:7.1f} us CPU a {per} {middle.rate * events:9,.0f} {per}s/s"
            f"  p99 {middle.p99_ms:7.1f} ms  {middle.rss_mib:4.0f} MiB  {sum(m.failed for m in each)} failed{ratio}"
        )


if __name__ == "__main__":
    main()
