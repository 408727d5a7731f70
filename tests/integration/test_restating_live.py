"""Today restated while events come in: nothing is lost or doubled, and nobody is asked to stop."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from cli.main import cli
from sinks.generations.handover import SinkPlans, wait_for_sinks
from sinks.generations.record import Record, live_generation
from sinks.generations.restatement import Restatement

pytestmark = pytest.mark.stack

_PATIENCE_S = 60.0


class Traffic:
    """Sends one page view after the other, of one visitor, until told to stop."""

    def __init__(self, client: Any) -> None:
        self.visitor = f"v-{uuid.uuid4()}"
        self.sent = 0
        self._client = client
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            event = {
                "event_type": "page_view",
                "visitor_id": self.visitor,
                "session_id": self.visitor,
                "url": "/p",
                "consent_state": "granted",
            }
            status, _ = self._client.send([event] * 3)
            assert status == 200
            self.sent += 3

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def stored(self) -> int:
        """Rows that readers see."""
        return int(
            self._client.server.scalar("SELECT count() FROM events WHERE visitor_id = {v:String}", v=self.visitor)
        )

    def wait_until_stored(self, at_least: int) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while self.stored() < at_least:
            assert time.monotonic() < deadline, f"{self.stored()} of {at_least} rows"
            time.sleep(0.05)


@pytest.fixture
def traffic(client: Any) -> Iterator[Traffic]:
    found = Traffic(client)
    yield found
    found.stop()


@pytest.fixture
def run_cli(client: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in client.stack.settings.to_env().items():
        monkeypatch.setenv(name, value)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(cli, arguments)

    return invoke


def test_a_day_is_rebuilt_and_rolled_back_while_events_come_in(client: Any, traffic: Traffic, run_cli: Any) -> None:
    server = client.server
    traffic.wait_until_stored(50)
    day = server.scalar("SELECT max(arrival_day) FROM events")
    server.execute(
        "INSERT INTO pages_daily_log (arrival_day, generation, tenant, day, path, views) "
        f"VALUES ('{day}', {live_generation(server, day)}, 'demo', '{day}', '/nowhere', 1)"
    )
    found = run_cli("rollups", "verify", "--from", day, "--json")
    assert found.exit_code == 1, found.output
    (difference,) = msgspec.json.decode(found.stdout)["differences"]
    assert (difference["table"], difference["key"]["path"]) == ("pages_daily_log", "/nowhere")
    seen: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            seen.append(traffic.stored())

    watcher = threading.Thread(target=watch)
    watcher.start()
    rebuilt = run_cli("rollups", "rebuild", day, "--why", "a row by hand", "--json")
    assert rebuilt.exit_code == 0, rebuilt.output
    run = msgspec.json.decode(rebuilt.stdout)["run"]
    traffic.wait_until_stored(traffic.stored() + 30)
    assert run_cli("rollups", "verify", "--from", day).exit_code == 0
    assert f"{day}  readers see" in run_cli("generations", "rollback", run).output
    traffic.wait_until_stored(traffic.stored() + 30)
    over.set()
    watcher.join()
    traffic.stop()
    traffic.wait_until_stored(traffic.sent)
    assert traffic.stored() == traffic.sent
    assert seen == sorted(seen), "rows were out of sight for a moment, or there twice"
    assert run_cli("rollups", "verify", "--from", day).exit_code == 1, "rolled back to what was wrong"
    assert run_cli("rollups", "rebuild", "--from", day).exit_code == 0
    assert run_cli("rollups", "verify", "--from", day).exit_code == 0
    shown = run_cli("generations", "show", run)
    assert "why: a row by hand" in shown.output
    assert "rolled_back" in shown.output
    lines = [msgspec.json.decode(line) for line in run_cli("generations", "list", "--json").stdout.splitlines()]
    assert {line["state"] for line in lines if line["day"] == day} >= {"rolled_back", "superseded", "published", "live"}
    assert run_cli("generations", "prune").output == "nothing to prune\n", "too young"
    client.settle()
    deadline = time.monotonic() + _PATIENCE_S
    while not (how := msgspec.json.decode(run_cli("completeness", "--json").stdout))["complete"]:
        assert time.monotonic() < deadline, how
        time.sleep(0.2)
    assert how["gaps"] == []
    assert how["closed_through"] < day


def test_every_sink_says_in_its_plan_where_it_writes(client: Any, traffic: Traffic) -> None:
    """Once the plans of a moment are done, each later row is in the generation that was opened before."""
    server = client.server
    traffic.wait_until_stored(20)
    day = server.scalar("SELECT max(arrival_day) FROM events")
    run = Restatement(server, f"hand-over-{uuid.uuid4()}")
    plans = SinkPlans(client.stack.settings)
    (stage,) = run.begin([day], plans=plans)
    old = f"SELECT count() FROM events_log WHERE arrival_day = '{day}' AND generation < {stage.generation}"
    before = server.scalar(old)
    traffic.wait_until_stored(traffic.stored() + 40)
    assert server.scalar(old) == before, "the old generations stand still"
    assert wait_for_sinks(plans, timeout_s=_PATIENCE_S).keys() <= set(range(2 * client.stack.settings.partitions))
    run.drop()
    assert Record(server).holders([day], but="") == []
    traffic.stop()
    traffic.wait_until_stored(traffic.sent)
    assert traffic.stored() == traffic.sent
