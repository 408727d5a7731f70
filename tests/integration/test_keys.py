"""Keys and flags on a running stack: the command, the topic, a second collector that only follows."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import urllib3
from click.testing import CliRunner
from confluent_kafka import Consumer, TopicPartition

from cli.main import cli
from collector.control import TOKEN_FILE
from core import control, kafka
from core.topics import Topics
from schemas import abuse, audit

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parents[2]
EVENT = {"event_type": "page_view", "visitor_id": "v-keys", "consent_state": "granted"}
_PROMISED_S = 2.0


@dataclass
class Collector:
    url: str

    def send(self, key: str) -> int:
        answer = urllib3.request(
            "POST",
            f"{self.url}/api/v1/tracking/collect/",
            json=EVENT,
            headers={"Authorization": f"Bearer {key}"},
            retries=False,
            timeout=20,
        )
        return answer.status


def _environment(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")} | more


def sluice(client: Any, *args: str) -> Any:
    runner = CliRunner(env={"SLUICE_STATE_DIR": str(client.stack.settings.state_dir)})
    done = runner.invoke(cli, args, standalone_mode=False)
    assert done.exception is None, done.exception
    return json.loads(done.stdout) if "--json" in args or "config" in args else done.stdout


@pytest.fixture(scope="module")
def collectors(client: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Collector]]:
    """That of the stack and one more."""
    folder = tmp_path_factory.mktemp("second")
    notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notified.bind(str(folder / "notify"))
    notified.settimeout(30)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = replace(client.stack.settings, collector_port=port)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "collector"],
            cwd=ROOT,
            env=_environment(**settings.to_env(), NOTIFY_SOCKET=str(folder / "notify")),
            stderr=log,
        )
    try:
        assert notified.recv(100) == b"READY=1", (folder / "log").read_text()
        yield [Collector(client.stack.endpoints.collector_url), Collector(f"http://127.0.0.1:{port}")]
    finally:
        process.terminate()
        process.wait(60)
        notified.close()


def until(condition: Callable[[], bool], *, within_s: float = 20.0) -> float:
    """How long it took, in seconds."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < within_s
        time.sleep(0.02)
    return time.monotonic() - started


def records(client: Any, topic: str, decode: Callable[[bytes], Any]) -> list[Any]:
    settings = client.stack.settings
    reader = Consumer(kafka.reader(settings, name="told"))
    reader.assign([TopicPartition(getattr(Topics.named(settings.topic_prefix), topic), 0, 0)])
    found = [decode(message.value()) for message in kafka.read_to_end(reader, partitions=1)]
    reader.close()
    return found


def audits(client: Any, subject: str) -> list[audit.Audit]:
    return [each for each in records(client, "audit", audit.decode) if each.subject == subject]


def test_a_key_lives_and_ends_in_every_collector(client: Any, collectors: list[Collector]) -> None:
    made = sluice(client, "keys", "create", "--tenant", "shop", "--name", "checkout", "--by", "ada", "--json")
    assert collectors[0].send(made["key"]) == 200
    until(lambda: collectors[1].send(made["key"]) == 200, within_s=_PROMISED_S)

    new = sluice(client, "keys", "rotate", made["id"], "--by", "ada", "--json")
    until(lambda: collectors[1].send(new["key"]) == 200, within_s=_PROMISED_S)
    assert [each.send(made["key"]) for each in collectors] == [200, 200]

    for key in (made, new):
        sluice(client, "keys", "revoke", key["id"], "--reason", "test", "--by", "ada")
        until(lambda key=key: collectors[1].send(key["key"]) == 401, within_s=_PROMISED_S)  # type: ignore[misc]
        assert collectors[0].send(key["key"]) == 401
    assert [told.action for told in audits(client, made["id"])] == ["key.created", "key.rotated", "key.revoked"]
    assert {told.actor for told in audits(client, made["id"])} == {"ada"}

    # Nothing of it is in the log of the process, nor in the topics.
    secret = made["key"].rpartition("_")[2]
    assert secret not in (client.stack.settings.state_dir / "logs" / "collector.log").read_text()


def test_a_late_write_does_not_bring_a_key_back(client: Any, collectors: list[Collector]) -> None:
    made = sluice(client, "keys", "create", "--tenant", "shop", "--json")
    name = f"key/{made['id']}"
    entry = _control(client)[name]
    sluice(client, "keys", "revoke", made["id"])
    control.put(client.stack.settings, {name: entry})
    other = sluice(client, "keys", "create", "--tenant", "shop", "--json")  # written later still
    until(lambda: collectors[1].send(other["key"]) == 200)
    assert [each.send(made["key"]) for each in collectors] == [401, 401]


def _control(client: Any) -> dict[str, bytes]:
    from cli.streams.state import read_control

    return read_control(client.stack.settings)


def test_the_command_shows_keys(client: Any) -> None:
    made = sluice(
        client, *("keys", "create", "--tenant", "pages", "--browser", "--origin", "https://shop.example", "--json")
    )
    listed = sluice(client, "keys", "list", "--tenant", "pages", "--json")
    assert [key["id"] for key in listed] == [made["id"]]
    assert "key" not in listed[0]
    assert made["id"] in sluice(client, "keys", "list")
    assert "https://shop.example" in sluice(client, "keys", "show", made["id"])
    assert sluice(client, "keys", "config", made["id"])["tracking_key"] == made["key"]


def test_secrets_are_the_owners_alone(client: Any) -> None:
    path = client.stack.settings.state_dir / TOKEN_FILE
    assert path.stat().st_mode & 0o077 == 0


def test_what_is_too_much_is_refused_and_told(client: Any, collectors: list[Collector]) -> None:
    made = sluice(client, "keys", "create", "--tenant", "shop", "--requests-per-minute", "3", "--json")
    until(lambda: collectors[1].send(made["key"]) == 200, within_s=_PROMISED_S)
    assert [collectors[1].send(made["key"]) for _ in range(4)][-1] == 429
    assert collectors[0].send(made["key"]) == 429  # one table for all processes of a host
    assert collectors[1].send(made["key"][:-1] + "!") == 401

    def told() -> dict[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = {}
        for each in records(client, "abuse", abuse.decode):
            found[each.reason, each.key_id] = found.get((each.reason, each.key_id), 0) + each.requests
        return found

    until(lambda: ("limit_client", made["id"]) in told() and ("unknown_key", "") in told())
    # Each process tells its own at its own time.
    until(lambda: told()["limit_client", made["id"]] >= 2)


def test_ingest_is_switched_off_and_on_live(client: Any, collectors: list[Collector]) -> None:
    key = client.stack.endpoints.bootstrap_key
    try:
        sluice(client, "flags", "set", "tracking.ingest.enabled", "off", "--reason", "test", "--by", "ada")
        for each in collectors:
            until(lambda each=each: each.send(key) == 503, within_s=_PROMISED_S)  # type: ignore[misc]
        shown = sluice(client, "flags", "list", "--json")
        assert shown["tracking.ingest.enabled"]["by"] == "ada"
        assert shown["tracking.automation.enabled"] == {"enabled": True}
    finally:
        sluice(client, "flags", "set", "tracking.ingest.enabled", "on")
    for each in collectors:
        until(lambda each=each: each.send(key) == 200, within_s=_PROMISED_S)  # type: ignore[misc]
    assert [told.detail["enabled"] for told in audits(client, "tracking.ingest.enabled")] == ["off", "on"]
