"""The workers are stopped and continued: by an operator, and by a contract that fails for several tenants."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from confluent_kafka import Producer

from cli.main import cli
from cli.up.figures import PauseSource
from core import control, kafka
from core.topics import Topics
from schemas import released
from schemas.released import Released
from tests.integration import test_docs_output as docs
from tests.streams.raw_events import raw_value

pytestmark = pytest.mark.stack

_ROOT = Path(__file__).parents[2]
_SHOWN = "order_placed:1"  # the page's contract
_TENANTS = ("acme", "globex", "initech")


def _environment(**settings: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
    return kept | {"PYTHONPATH": str(_ROOT)} | settings


def _sluice(client: Any, *argv: str) -> str:
    runner = CliRunner(env={"SLUICE_STATE_DIR": str(client.stack.settings.state_dir)})
    done = runner.invoke(cli, ["streams", *argv], standalone_mode=False)
    assert done.exception is None, done.exception
    if "--json" in argv:
        found = msgspec.json.decode(done.output)
        assert done.return_value == (1 if found["paused"] or found["alerts"] else 0)
    return str(done.output)


def _status(client: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(_sluice(client, "status", "--json"))
    return found


def _check(command: str, printed: str, *, nth: int = 0) -> None:
    """docs/debugging.md shows what was printed; figures and the order of tenants differ."""
    have = {_normal(line) for line in printed.splitlines()}
    for line in docs._output_of("debugging.md", command, nth):
        assert _normal(line) in have, f"docs/debugging.md shows for `{command}`:\n  {line}\nprinted:\n{printed}"


def _normal(line: str) -> str:
    return " ".join(sorted(docs._words(line).replace(",", "").split()))


def _until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _produce(client: Any, values: list[bytes]) -> None:
    """To all partitions in turn."""
    settings = client.stack.settings
    producer = Producer(kafka.producer(settings))
    for number, value in enumerate(values):
        producer.produce(Topics.named(settings.topic_prefix).raw, value, b"key", partition=number % settings.partitions)
    assert producer.flush(10) == 0


@contextmanager
def _worker_that_halts(client: Any, log: Path) -> Iterator[None]:
    """One more worker of the group, with halts allowed. It gets a share of the partitions."""
    settings = replace(client.stack.settings, streams_worker_id="1", dead_letter_halt=True)
    with log.open("wb") as out:
        worker = subprocess.Popen(
            [sys.executable, "-m", "cli", "streams"], env=_environment(**settings.to_env()), stdout=out, stderr=out
        )
    try:
        _until(lambda: "streams.partition_assigned" in log.read_text())
        yield
    finally:
        worker.terminate()
        worker.wait(30)
        client.settle()  # its partitions are taken over


@pytest.fixture
def going_on(client: Any) -> Iterator[None]:
    """Whatever a test leaves behind, the next one finds workers that run."""
    yield
    control.put(client.stack.settings, {"streams": None})


def test_paused_events_wait_and_are_processed_afterwards(client: Any, going_on: None) -> None:
    before = client.settle()
    pause = PauseSource(client.stack.settings)
    assert _status(client)["paused"] is pause().paused is False
    command = 'sluice streams pause --by ops --reason "ClickHouse is being moved"'
    _check(command, _sluice(client, *shlex.split(command)[2:]))
    time.sleep(0.5)  # the workers hear of it
    event = {"event_type": "page_view", "visitor_id": "v", "consent_state": "granted", "event_id": str(uuid.uuid4())}
    assert client.send(event)[0] == 200
    time.sleep(1.0)
    found = _status(client)
    assert (found["paused"], found["waiting"]) == (True, 1)
    assert (pause().paused, pause().by) == (True, "ops")
    assert sum(each["waiting"] for each in found["partitions"]) == 1
    assert [each["lane"] for each in found["partitions"]].count("live") == client.stack.settings.partitions
    assert (found["pause"]["by"], found["pause"]["halt"]) == ("ops", None)
    printed = _sluice(client, "status")
    _check("sluice streams status", printed, nth=2)
    assert "\n1 event waits\n" in printed
    assert "already" in _sluice(client, "pause", "--reason", "again", "--by", "another")

    assert "go on" in _sluice(client, "resume")
    after = client.settle()
    assert after["curated"] - before.get("curated", 0) == 1
    assert _status(client)["waiting"] == 0
    assert "not paused" in _sluice(client, "resume")


def test_a_release_that_fails_for_several_tenants_halts_all_workers(
    client: Any, going_on: None, tmp_path: Path
) -> None:
    subject = f"seat_taken_{uuid.uuid4().hex[:8]}"
    label, log = f"{subject}:1", tmp_path / "halting.log"
    schema = {
        "type": "record",
        "name": "SeatTaken",
        "namespace": "sluice.events",
        "kind": "event",
        "doc": "A seat was taken.",
        "fields": [{"name": "seat", "type": "int", "doc": "Seat."}],
    }
    each = Released(subject, 1, 9_500, schema)

    def events(number: int, *tenants: str) -> list[bytes]:
        of = {"event_type": "custom_event", "name": subject, "properties": {"seat": "aisle"}}
        return [
            raw_value(**of, event_id=str(uuid.uuid4()), envelope={"tenant": tenant, "event": subject})
            for _ in range(number)
            for tenant in tenants
        ]

    before = client.settle()
    with _worker_that_halts(client, log):
        control.put(client.stack.settings, {each.key: released.encode(each)})
        _until(lambda: f'"{label}"' in log.read_text())

        _produce(client, events(400, "acme"))
        client.settle()
        found = _status(client)
        assert (found["paused"], [a["tenants"] for a in found["alerts"] if a["contract"] == label]) == (
            False,
            [["acme"]] * len(found["alerts"]),
        ), "one tenant alone is an alert"
        _check("sluice streams status", _sluice(client, "status").replace(label, _SHOWN))

        _produce(client, events(400, *_TENANTS))
        _until(lambda: "streams.halted" in log.read_text())
        time.sleep(0.5)  # all hear of it
        _produce(client, events(10, "acme"))
        time.sleep(1.0)
        found = _status(client)
        assert (found["paused"], found["waiting"] >= 10) == (True, True)
        assert found["pause"]["halt"]["contract"] == label
        assert sorted(found["pause"]["halt"]["tenants"]) == sorted(_TENANTS)
        assert found["pause"]["by"] == "worker 1"
        _check("sluice streams status", _sluice(client, "status").replace(label, _SHOWN), nth=1)

        _check("sluice streams resume --by ops", _sluice(client, "resume", "--by", "ops").replace(label, _SHOWN))
        _produce(client, events(100, *_TENANTS))
        after = client.settle()
        assert _status(client)["paused"] is False, "the operator went on with it; the alert stands"
    assert {each["worker"] for each in _status(client)["alerts"]} <= {"0"}, "it took its alerts along"
    sent = 400 + 3 * 400 + 10 + 3 * 100
    assert after["dead_letter"] - before.get("dead_letter", 0) == sent, "nothing is lost"
