"""A day of a million events replayed: `.venv/bin/python -m bench.replay [--events N] [--source archive] [--live N]`.

Starts a stack of its own, sends a day of tickets of which the contract refuses 30 %, mends the contract, and times
plan, run and rollback as a user gives them, with the CPU time and the peak memory of each command and of the processes
it makes work. Every row of the day is another one afterwards: those that were refused in, all others name another
contract version. That is the most a replay can have to do.

With `--live` so many events a second come in all along, and it is measured how late queries find them (see
`bench.freshness`): first without a replay, then beside plan and run. Ends with 1 above the bounds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from bench.freshness import Seen, Sent, late, send
from cli.ledger import LedgerReader, wait_until_complete
from cli.stack import RunningStack, running
from core import control, kafka
from core.settings import Settings
from core.topics import Topics
from replay.plans import Plan, Run
from schemas import envelope, released
from schemas.released import Released
from sinks.clickhouse import ClickHouse

# Bounds asked for: plan and run of a million events in seconds, and how late live events are beside them (p99).
TOGETHER_S = 60.0
LIVE_P99_S = 5.0

_EVENT = "ticket_bought"
_ALONE_S = 15.0
_TICKS = os.sysconf("SC_CLK_TCK")


@click.command()
@click.option("--events", default=1_000_000, show_default=True, help="Events of the day.")
@click.option("--source", type=click.Choice(["auto", "kafka", "archive"]), default="archive", show_default=True)
@click.option("--live", default=0, metavar="N", help="Live events a second meanwhile.")
@click.option("--rate", default=0, metavar="N", help="Records and rows a second that the replay may do.")
def main(*, events: int, source: str, live: int, rate: int) -> None:
    """Measure, and compare with the bounds."""
    day = (datetime.now(UTC) - timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    with tempfile.TemporaryDirectory() as folder, running(Settings(state_dir=Path(folder) / "state")) as stack:
        _release(stack.settings, 1)
        time.sleep(1)
        began = time.monotonic()
        _sent(stack, day, events)
        click.echo(f"{events:,} events sent, judged and stored in {time.monotonic() - began:.1f} s")
        _release(stack.settings, 2)
        window = ["--from", day.date().isoformat(), "--to", (day + timedelta(days=1)).date().isoformat()]
        with _traffic(stack.settings, live) as traffic:
            began_s = time.time()
            planned = _sluice(stack, "plan", *window, "--source", source, "--rate", str(rate))
            plan = msgspec.json.decode(planned.answer, type=Plan)
            ran = _sluice(stack, "run", plan.id, "--why", "bench", "--rate", str(rate))
            run = msgspec.json.decode(ran.answer, type=Run)
            ended_s = time.time()
        back = _sluice(stack, "rollback", run.id, "--why", "bench")
        for name, cost in (("plan", planned), ("run", ran), ("rollback", back)):
            click.echo(f"{name:<9} {cost}")
        click.echo(f"accepted {plan.accepted:,}, changed {plan.changed:,}, removed {plan.removed:,}")
    together_s = planned.seconds + ran.seconds
    click.echo(f"together  {together_s:6.1f} s  asked for: at most {TOGETHER_S:g} s for a million events")
    kept = live > 0 or together_s <= TOGETHER_S
    if traffic is not None:
        for what, found in (("alone", traffic.alone_s), ("beside", traffic.late_s(began_s, ended_s))):
            p50, p99, most = np.percentile(found, [50, 99, 100])
            click.echo(f"live events {what:<7} p50 {p50:5.2f} s  p99 {p99:5.2f} s  most {most:5.2f} s  {len(found):,}")
            kept &= bool(p99 < LIVE_P99_S)
    sys.exit(0 if kept else 1)


class Traffic:
    """Live events that come in all along, and how late queries find them."""

    def __init__(self, settings: Settings, rate: int) -> None:
        self.alone_s: list[float] = []
        self._sent = Sent()
        self._seen = Seen(ClickHouse(settings), days=0)
        self._stop = threading.Event()
        self._sender = threading.Thread(target=send, args=(settings, rate, self._sent, self._stop), daemon=True)

    def start(self) -> None:
        self._sender.start()
        self._seen.start()
        time.sleep(5)
        began_s = time.time()
        time.sleep(_ALONE_S)
        ended_s = time.time()
        self._catch_up()
        self.alone_s = self.late_s(began_s, ended_s)

    def end(self) -> None:
        self._stop.set()
        self._sender.join()
        self._catch_up()
        self._seen.stop()

    def late_s(self, began_s: float, ended_s: float) -> list[float]:
        """Of each event that was received in between."""
        return [*late(self._sent, self._seen, began_s, ended_s)]

    def _catch_up(self) -> None:
        """Wait until queries find what was sent so far."""
        due = Sent(offsets={number: [*offsets] for number, offsets in self._sent.offsets.items()})
        deadline = time.monotonic() + 60
        while not self._seen.holds(due):
            if time.monotonic() > deadline:
                raise click.ClickException("live events are not stored within 60 s")
            time.sleep(0.05)


@contextmanager
def _traffic(settings: Settings, rate: int) -> Iterator[Traffic | None]:
    if not rate:
        yield None
        return
    traffic = Traffic(settings, rate)
    traffic.start()
    yield traffic
    traffic.end()


@dataclass(frozen=True, slots=True)
class Cost:
    """What a command took: CPU seconds and peak memory (MiB) of its own and of processes of the stack by name."""

    answer: bytes
    seconds: float
    cpu_s: dict[str, float]
    peak_mib: dict[str, float]

    def __str__(self) -> str:
        cpu = "  ".join(f"{name} {spent:.1f}" for name, spent in self.cpu_s.items())
        peak = "  ".join(f"{name} {mib:,.0f}" for name, mib in self.peak_mib.items())
        return f"{self.seconds:6.1f} s  CPU s: {cpu}  peak MiB: {peak}"


def _sluice(stack: RunningStack, *arguments: str) -> Cost:
    environment = os.environ | {"SLUICE_STATE_DIR": str(stack.settings.state_dir)}
    processes = {each.name: each.pid for each in stack.status() if each.pid is not None}
    before = {name: _cpu_s(pid) for name, pid in processes.items()}
    for pid in processes.values():
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")  # peaks are measured from here
    began = time.monotonic()
    with tempfile.TemporaryFile() as out:
        command = subprocess.Popen(
            [sys.executable, "-m", "cli", "replay", *arguments, "--json"], env=environment, stdout=out
        )
        _, status, usage = os.wait4(command.pid, 0)
        command.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        if command.returncode:
            raise click.ClickException(f"sluice replay {arguments[0]} ended with {command.returncode}")
        out.seek(0)
        answer = out.read()
    cpu = {name: _cpu_s(pid) - before[name] for name, pid in processes.items()}
    return Cost(
        answer,
        seconds,
        {"replay": usage.ru_utime + usage.ru_stime} | {name: spent for name, spent in cpu.items() if spent > 0.2},
        {"replay": usage.ru_maxrss / 1024, "clickhouse": _peak_mib(processes["clickhouse"])},
    )


def _cpu_s(pid: int) -> float:
    """CPU time of a process so far (proc(5), fields 14 and 15 of `stat`)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _release(settings: Settings, version: int) -> None:
    amount = {"name": "amount", "type": "int" if version == 1 else "double", "pii": "none", "doc": "Price."}
    source: dict[str, Any] = {
        "type": "record",
        "name": "TicketBought",
        "namespace": "sluice.events",
        "kind": "event",
        "doc": "A ticket was bought.",
        "fields": [amount],
    }
    each = Released(_EVENT, version, 9_000 + version, source)
    control.put(settings, {each.key: released.encode(each)})


def _sent(stack: RunningStack, day: datetime, events: int) -> None:
    topic = Topics.named(stack.settings.topic_prefix).raw
    # The broker's clock would put all of it into today.
    own = ConfigEntry("message.timestamp.type", "CreateTime", incremental_operation=AlterConfigOpType.SET)
    admin = AdminClient(kafka.common(stack.settings))
    for future in admin.incremental_alter_configs(
        [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[own])]
    ).values():
        future.result(10)
    producer = Producer(kafka.producer(stack.settings) | {"linger.ms": 20, "queue.buffering.max.messages": 200_000})
    first_ms = int(day.timestamp() * 1000)
    for number in range(events):
        at_ms = first_ms + number * 80_000_000 // events
        visitor = f"v-{number * 7919 % 50_000}"
        while True:
            try:
                producer.produce(topic, _record(number, visitor, at_ms), f"demo|{visitor}".encode(), timestamp=at_ms)
                break
            except BufferError:
                producer.poll(0.1)
        if not number % 1_000:
            producer.poll(0)
    producer.flush(60)
    reader = LedgerReader(stack.settings)
    try:
        wait_until_complete(reader, timeout_s=120)
    finally:
        reader.close()
    server = ClickHouse(stack.settings)
    refused = sum(number % 10 < 3 for number in range(events))
    while (
        server.scalar("SELECT count() FROM events") < events - refused
        or server.scalar("SELECT count() FROM raw_archive") < events
        or server.scalar("SELECT count() FROM dead_letters") < refused
    ):
        time.sleep(0.2)


def _record(number: int, visitor: str, at_ms: int) -> bytes:
    payload = {
        "event_id": f"bench-{number}",
        "event_type": "custom_event",
        "name": _EVENT,
        "session_id": f"s-{visitor}",
        "visitor_id": visitor,
        "user_id": "",
        "url": f"https://shop.example/tickets/{number % 900}?utm_source=mail",
        "referrer": "https://www.google.com/",
        "properties": {"amount": number % 90 + 0.5 if number % 10 < 3 else number % 90},
        "context": {},
        "consent_state": "granted",
        "occurred_at": at_ms,
        "sent_at": 0,
    }
    head = envelope.Head(_EVENT, 0, "demo", "k-1", "native", historical=False)
    return envelope.encode(head=head, received_at_ms=at_ms, payload=msgspec.json.encode(payload))


if __name__ == "__main__":
    main()
