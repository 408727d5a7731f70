"""Processors of users as processes of their own: the example of docs/processors.md killed again and again, and a
processor that raises.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from core import kafka
from core.errors import ExitCode
from core.settings import Settings

pytestmark = pytest.mark.stack

_ROOT = Path(__file__).parents[2]
_EVENTS = 2_000
_MOST_TEARS = 10
_RAISING = """
from streams.processor import Emit, Event, processor

@processor(schema="order_completed", to="checked")
def {name}(event: Event):
    if event.visitor_id == "{visitor}":
        if event.properties["order_id"] == "bad":
            raise ValueError("no such order")
        yield Emit(event, event.event_id.encode(), key="mine")
"""

_COPYING = """
from streams.processor import Emit, Event, processor

@processor(schema="order_completed", to="{name}", name="copy_{name}")
def {name}(events: list[Event]):
    for event in events:
        yield Emit(event, event.properties["order_id"].encode())
"""


class Running:
    """A worker of `target`, in `folder`, with small batches so that there are many transactions."""

    def __init__(self, settings: Settings, folder: Path, target: str, **environment: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = folder / f"notify-{uuid.uuid4().hex[:8]}"
        self._socket.bind(str(address))
        self.log = folder / f"{target.partition(':')[2]}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli", "processor", target],
                cwd=folder,
                env=os.environ
                | settings.to_env()
                | {
                    "PYTHONPATH": str(_ROOT),
                    "NOTIFY_SOCKET": str(address),
                    "SLUICE_STATE_DIR": str(folder),
                    "SLUICE_STREAMS_BATCH_EVENTS": "100",
                }
                | environment,
                stderr=log,
            )

    def wait_until_ready(self) -> None:
        self._socket.settimeout(0.5)
        deadline = time.monotonic() + 60
        while True:
            try:
                assert self._socket.recv(100) == b"READY=1"
                return
            except TimeoutError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def drain(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        self._socket.close()


@pytest.fixture
def workers() -> Iterator[list[Running]]:
    started: list[Running] = []
    yield started
    for each in started:
        each.close()


def _orders(client: Any, *, visitor: str, orders: list[tuple[str, str]]) -> list[str]:
    """Send (order id, total); the ids of the events."""
    events = [
        {
            "event_id": str(uuid.uuid4()),
            "event_type": "custom_event",
            "name": "order_completed",
            "visitor_id": visitor or f"v-{number % 50}",
            "consent_state": "granted",
            "properties": {
                "order_id": order,
                "total": total,
                "currency": "EUR",
                "items": [{"product_id": "p", "quantity": 1}],
            },
        }
        for number, (order, total) in enumerate(orders)
    ]
    status, answer = client.send({"events": events})
    assert (status, answer["accepted"]) == (200, len(events)), answer
    return [str(event["event_id"]) for event in events]


def _read(settings: Settings, topic: str, *, committed: bool = True) -> list[Message]:
    """All records of a topic; with `committed=False` also those of transactions that were rolled back."""
    isolation = {} if committed else {"isolation.level": "read_uncommitted"}
    reader = Consumer(kafka.reader(settings, name="test") | isolation)
    name = f"{settings.topic_prefix}{topic}"
    reader.assign([TopicPartition(name, p, 0) for p in range(settings.partitions)])
    try:
        return list(kafka.read_to_end(reader, partitions=settings.partitions))
    finally:
        reader.close()


def _of_run(messages: list[Message], run: str) -> list[str]:
    """Order ids of this run among values that are order ids: the topic also has orders of other tests."""
    return [order for order in (m.value().decode() for m in messages) if order.startswith(run)]


def _at_least(count: int) -> Callable[[list[Message]], bool]:
    return lambda found: len(found) >= count


def _settled(
    settings: Settings, topic: str, complete: Callable[[list[Message]], bool], running: Running
) -> list[Message]:
    """The records, once they are complete and a moment more, in which none may be added."""
    deadline = time.monotonic() + 60
    while not complete(_read(settings, topic)):
        assert running.process.poll() is None, running.log.read_text()
        assert time.monotonic() < deadline, running.log.read_text()
        time.sleep(0.2)
    time.sleep(1.0)
    return _read(settings, topic)


def test_the_example_writes_each_event_once_through_kill_9(client: Any, tmp_path: Path, workers: list[Running]) -> None:
    settings = client.stack.settings
    page = (_ROOT / "docs/processors.md").read_text(encoding="utf-8")
    example = re.search(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert example is not None
    (tmp_path / "shop.py").write_text(example[1])
    run = uuid.uuid4().hex[:8]
    # Every third order is a small one, which the processor leaves out.
    orders = [(f"{run}-{n}", "250.00" if n % 3 else "99.99") for n in range(_EVENTS)]
    _orders(client, visitor="", orders=orders)
    client.settle()

    # Killed between writing and committing, twice, and behind a commit; then from outside, as it happens.
    failpoints = "streams.before_commit:kill@3*2,streams.after_commit:kill@4"
    for _ in range(3):
        worker = Running(settings, tmp_path, "shop:big_orders", SLUICE_FAILPOINT=failpoints)
        workers.append(worker)
        assert worker.process.wait(60) == -signal.SIGKILL, worker.log.read_text()
    # A kill finds records sent, and not only gathered, sooner or later: then they stand in the topic, uncommitted.
    for tear in range(_MOST_TEARS):
        sent = len(_read(settings, "big_orders", committed=False))
        worker = Running(
            settings, tmp_path, "shop:big_orders", SLUICE_FAILPOINT=f"streams.before_commit:kill@1*{3 + tear}"
        )
        workers.append(worker)
        assert worker.process.wait(60) == -signal.SIGKILL, worker.log.read_text()
        if len(_read(settings, "big_orders", committed=False)) > sent:
            break
    for pause in (0.05, 0.15):
        worker = Running(settings, tmp_path, "shop:big_orders")
        workers.append(worker)
        worker.wait_until_ready()
        time.sleep(pause)
        worker.kill()
    last = Running(settings, tmp_path, "shop:big_orders")
    workers.append(last)
    last.wait_until_ready()

    def ours(found: list[Message]) -> list[str]:
        ids = [msgspec.json.decode(m.value())["order_id"] for m in found]
        return [order for order in ids if order.startswith(run)]

    expected = Counter(order for order, total in orders if total == "250.00")
    messages = _settled(settings, "big_orders", lambda found: len(ours(found)) >= len(expected), last)
    assert Counter(ours(messages)) == expected
    assert msgspec.json.decode(messages[0].value()).keys() == {"order_id", "total", "currency"}
    assert {m.partition() for m in messages} == set(range(settings.partitions))
    assert {m.key().decode().partition("|")[0] for m in messages} == {settings.bootstrap_tenant}
    assert _read(settings, "big_orders.dead_letters") == []
    assert len(_read(settings, "big_orders", committed=False)) > len(messages), "no kill left a transaction open"
    assert last.drain() == ExitCode.OK, last.log.read_text()


def test_workers_share_partitions_and_take_over(client: Any, tmp_path: Path, workers: list[Running]) -> None:
    settings = client.stack.settings
    name = f"shared_{uuid.uuid4().hex[:8]}"
    (tmp_path / "sharing.py").write_text(_COPYING.format(name=name))
    for worker_id in ("0", "1"):
        workers.append(Running(settings, tmp_path, f"sharing:{name}", SLUICE_STREAMS_WORKER_ID=worker_id))
        workers[-1].wait_until_ready()
    run = uuid.uuid4().hex[:8]
    orders = [(f"{run}-{n}", "1") for n in range(_EVENTS)]
    for start in range(0, _EVENTS, 100):
        _orders(client, visitor="", orders=orders[start : start + 100])
        if start == _EVENTS // 2:
            workers[1].kill()

    messages = _settled(settings, name, lambda found: len(_of_run(found, run)) >= _EVENTS, workers[0])
    assert Counter(_of_run(messages, run)) == Counter(order for order, _ in orders)
    assert workers[0].drain() == ExitCode.OK


def test_an_event_that_raises_costs_no_neighbour(client: Any, tmp_path: Path, workers: list[Running]) -> None:
    settings = client.stack.settings
    visitor, name = f"v-{uuid.uuid4().hex[:8]}", f"checked_{uuid.uuid4().hex[:8]}"
    text = _RAISING.format(name=name, visitor=visitor).replace('to="checked"', f'to="{name}_out"')
    (tmp_path / "raising.py").write_text(text)
    worker = Running(settings, tmp_path, f"raising:{name}")
    workers.append(worker)
    worker.wait_until_ready()
    ids = _orders(client, visitor=visitor, orders=[("a", "1"), ("bad", "2"), ("c", "3")])

    good = _settled(settings, f"{name}_out", _at_least(2), worker)
    assert [(m.key(), m.value().decode()) for m in good] == [(b"mine", ids[0]), (b"mine", ids[2])]
    (letter,) = _settled(settings, f"{name}.dead_letters", _at_least(1), worker)
    headers = dict(letter.headers())
    assert headers["sluice.reason"] == b"ValueError: no such order"
    assert headers["sluice.processor"] == name.encode()
    assert headers["sluice.at"].endswith(b"raising.py:8")
    source, partition, offset = headers["sluice.source"].decode().split("/")
    (original,) = (m for m in _read(settings, source) if (m.partition(), m.offset()) == (int(partition), int(offset)))
    assert (letter.value(), letter.key()) == (original.value(), original.key())
    assert ids[1].encode() in letter.value()

    # A second worker with the same name and id goes on behind the first, and adds nothing.
    assert worker.drain() == ExitCode.OK
    again = Running(settings, tmp_path, f"raising:{name}")
    workers.append(again)
    again.wait_until_ready()
    assert len(_settled(settings, f"{name}_out", _at_least(2), again)) == 2
    assert len(_read(settings, f"{name}.dead_letters")) == 1


def test_progress_that_was_lost_is_not_begun_anew(client: Any, tmp_path: Path, workers: list[Running]) -> None:
    settings = client.stack.settings
    visitor, name = f"v-{uuid.uuid4().hex[:8]}", f"lost_{uuid.uuid4().hex[:8]}"
    text = _RAISING.format(name=name, visitor=visitor).replace('to="checked"', f'to="{name}_out"')
    (tmp_path / "raising.py").write_text(text)
    first = Running(settings, tmp_path, f"raising:{name}")
    workers.append(first)
    _orders(client, visitor=visitor, orders=[("a", "1")])
    _settled(settings, f"{name}_out", _at_least(1), first)
    assert first.drain() == ExitCode.OK

    # The same topics under another name: a group that has no offsets.
    (tmp_path / "raising.py").write_text(text.replace(f"def {name}", f"def {name}_renamed"))
    second = Running(settings, tmp_path, f"raising:{name}_renamed")
    workers.append(second)
    assert second.process.wait(60) == ExitCode.STATE
    assert f"{name}_out holds records" in second.log.read_text()
    assert len(_read(settings, f"{name}_out")) == 1
