"""A day of a million events replayed: `.venv/bin/python -m bench.replay [--events N] [--source archive]`.

Starts a stack of its own, sends a day of tickets of which the contract refuses 30 %, mends the contract, and times
plan, run and rollback as a user gives them. Every row of the day is another one afterwards: those that were refused
in, all others name another contract version. That is the most a replay can have to do.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from cli.ledger import LedgerReader, wait_until_complete
from cli.stack import RunningStack, running
from core import control, kafka
from core.settings import Settings
from core.topics import Topics
from replay.plans import Plan, Run
from schemas import envelope, released
from schemas.released import Released
from sinks.clickhouse import ClickHouse

_EVENT = "ticket_bought"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--source", choices=["auto", "kafka", "archive"], default="archive")
    arguments = parser.parse_args()
    day = (datetime.now(UTC) - timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    with tempfile.TemporaryDirectory() as folder, running(Settings(state_dir=Path(folder) / "state")) as stack:
        server = ClickHouse(stack.settings)
        _release(stack.settings, 1)
        time.sleep(1)
        seconds = _timed(lambda: _sent(stack, day, arguments.events))
        print(f"{arguments.events:,} events sent, judged and stored in {seconds:.1f} s")
        _release(stack.settings, 2)
        window = ["--from", day.date().isoformat(), "--to", (day + timedelta(days=1)).date().isoformat()]
        started = time.monotonic()
        plan = msgspec.json.decode(_sluice(stack, "plan", *window, "--source", arguments.source), type=Plan)
        planned = time.monotonic()
        run = msgspec.json.decode(_sluice(stack, "run", plan.id, "--why", "bench"), type=Run)
        done = time.monotonic()
        _sluice(stack, "rollback", run.id, "--why", "bench")
        back = time.monotonic()
        rows = server.scalar("SELECT count() FROM events")
        print(f"run       {done - planned:6.1f} s")
        print(f"together  {done - started:6.1f} s")
        print(f"rollback  {back - done:6.1f} s  {rows:,} rows")


def _timed(call: Callable[[], None]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


def _sluice(stack: RunningStack, *arguments: str) -> bytes:
    environment = os.environ | {"SLUICE_STATE_DIR": str(stack.settings.state_dir)}
    return subprocess.run(
        [sys.executable, "-m", "cli", "replay", *arguments, "--json"], env=environment, check=True, capture_output=True
    ).stdout


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
