"""A stack whose topics name the ids of another registry, which is gone by the time the stack starts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition

from cli.endpoints import Endpoints
from core import kafka
from core.settings import Settings
from core.topics import Topics
from schemas import framing
from tests.schemas.fake_registry import FakeRegistry, fake_registry
from tests.schemas.registry_server import ROOT, environment

pytestmark = pytest.mark.stack

_EVENT = """{"event_type": "page_view", "event_id": "external-1", "visitor_id": "v1", "session_id": "s1",
    "url": "https://shop.example/", "consent_state": "granted"}"""


class Shell:
    def __init__(self, state: Path) -> None:
        self.state = state

    def __call__(self, *argv: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cli", *argv],
            env=environment(SLUICE_STATE_DIR=str(self.state), **more),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    made = Shell(tmp_path_factory.mktemp("external") / "state")
    yield made
    made("down", "--now")


@pytest.fixture(scope="module")
def registry(shell: Shell) -> FakeRegistry:
    """What it knows; it does not answer any more."""
    with fake_registry() as fake:
        done = shell("schemas", "publish", SLUICE_SCHEMA_REGISTRY_URL=fake.url)
        assert done.returncode == 0, done.stderr
    return fake


def ids_on(topic: str, bootstrap: str) -> set[int]:
    settings = Settings(kafka_bootstrap=bootstrap)
    reader = Consumer(kafka.reader(settings, name="external"))
    name = getattr(Topics.named(settings.topic_prefix), topic)
    reader.assign([TopicPartition(name, partition, 0) for partition in range(settings.partitions)])
    values = [message.value() for message in kafka.read_to_end(reader, partitions=settings.partitions)]
    reader.close()
    found = {framing.split(value)[0] for value in values}
    assert found
    return {each for each in found if isinstance(each, int)}


def test_events_flow_under_its_ids(shell: Shell, registry: FakeRegistry) -> None:
    started = shell("up", "--detach", SLUICE_SCHEMA_REGISTRY_URL=registry.url)
    assert started.returncode == 0, started.stderr
    assert f"registry    {registry.url}" in started.stdout
    names = {each["name"] for each in msgspec.json.decode(shell("status", "--json").stdout)["processes"]}
    assert "registry" not in names, "its answers would be others than the topics name"

    # Follows the event to its row; where the registry is, it knows from the stack.
    sent = shell("send", "--json-inline", _EVENT)
    assert sent.returncode == 0, sent.stdout + sent.stderr
    shown = shell("tail", "--since", "5m", "-n", "1", "--json")
    assert msgspec.json.decode(shown.stdout)["event"]["event_id"] == "external-1"

    endpoints = msgspec.json.decode((shell.state / "endpoints.json").read_bytes(), type=Endpoints)
    for topic in ("raw", "curated", "outcomes"):
        there = {version["id"] for version in registry.subjects[f"sluice.{topic}-value"].values()}
        assert ids_on(topic, endpoints.kafka_bootstrap) <= there


def test_our_own_registry_does_not_run_beside_it(registry: FakeRegistry, tmp_path: Path) -> None:
    done = Shell(tmp_path)("registry", SLUICE_SCHEMA_REGISTRY_URL=registry.url)
    assert done.returncode == 78
    assert "topics name that registry's ids" in done.stderr
    assert list(tmp_path.iterdir()) == []
