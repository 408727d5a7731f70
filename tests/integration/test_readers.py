"""Users of the running stack's ClickHouse: made by the command, they read what they may."""

from __future__ import annotations

import json
import time
import uuid

import pytest
import urllib3
from click.testing import CliRunner

from cli.users import users
from tests.integration.conftest import Client

pytestmark = pytest.mark.stack


def count(client: Client, tenant: str, visitor: str) -> int:
    result = CliRunner().invoke(
        users, ["create", f"u_{uuid.uuid4().hex}", "--role", "tenant", "--tenant", tenant, "--json"]
    )
    made = json.loads(result.stdout)
    answer = urllib3.request(
        "POST",
        client.stack.endpoints.clickhouse_url,
        body=f"SELECT count() FROM events WHERE visitor_id = '{visitor}'",
        headers={"X-ClickHouse-User": made["name"], "X-ClickHouse-Key": made["password"]},
    )
    assert answer.status == 200, answer.data
    return int(answer.data)


def test_a_tenants_reader_sees_the_events_of_its_tenant(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_STATE_DIR", str(client.stack.settings.state_dir))
    visitor = uuid.uuid4().hex
    event = {"event_id": str(uuid.uuid4()), "event_type": "page_view", "visitor_id": visitor,
             "url": "https://shop.example/", "consent_state": "granted", "properties": {}}  # fmt: skip
    assert client.send(event)[0] == 200
    deadline = time.monotonic() + 20
    while not count(client, client.stack.endpoints.bootstrap_tenant, visitor) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert count(client, client.stack.endpoints.bootstrap_tenant, visitor) == 1
    assert count(client, "another", visitor) == 0
