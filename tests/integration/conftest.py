"""The whole stack, embedded, once for all tests here. Tests use visitors of their own, never counts of all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import urllib3

from cli.ledger import LedgerReader, wait_until_complete
from cli.stack import RunningStack, running
from core.settings import Settings
from sinks.clickhouse import ClickHouse
from tests.integration.replay_stack import Replays, told
from tests.integration.replay_story import Story


@dataclass
class Client:
    """What a test does with a running stack."""

    stack: RunningStack

    @property
    def server(self) -> ClickHouse:
        return ClickHouse(self.stack.settings)

    def send(self, body: Any, *, key: str | None = None) -> tuple[int, Any]:
        answer = urllib3.request(
            "POST",
            f"{self.stack.endpoints.collector_url}/api/v1/tracking/collect/",
            body=msgspec.json.encode(body),
            headers={
                "Authorization": f"Bearer {key or self.stack.endpoints.bootstrap_key}",
                "Content-Type": "application/json",
            },
            retries=False,
            timeout=20,
        )
        return answer.status, msgspec.json.decode(answer.data)

    def settle(self) -> dict[str, int]:
        """Wait until every raw offset has an outcome; returns the counts of all outcomes."""
        reader = LedgerReader(self.stack.settings)
        try:
            return dict(wait_until_complete(reader, timeout_s=30).outcomes)
        finally:
            reader.close()


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    # All tests are one client, with one key.
    settings = Settings(state_dir=Path(tmp_path_factory.mktemp("stack")) / "state", limit_client_per_minute=0)
    with running(settings) as stack:
        yield Client(stack)


@pytest.fixture(scope="module")
def replays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replays]:
    settings = Settings(state_dir=Path(tmp_path_factory.mktemp("replay")) / "state", partitions=2)
    with running(settings) as stack:
        yield Replays(stack)


@pytest.fixture(scope="module")
def story(replays: Replays, request: pytest.FixtureRequest) -> Story:
    return told(replays, request)
