"""What collectors drop, from the request to the tables: every interval is there, and the totals agree."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector import following
from collector.abuse import AbuseLog
from collector.drops import DropLog, Dropped
from collector.following import Following
from collector.key_table import KeyTable
from core.clock import SystemClock
from core.flags import Flags

pytestmark = pytest.mark.stack

_TIMEOUT_S = 30.0
_PAGE = Path(__file__).parents[2] / "docs" / "privacy.md"
_QUERIES = re.findall(r"^```sql\n(.*?)^```$", _PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
_BY_EVENT = "SELECT tenant, reason, sum(events) FROM drops WHERE event = {event:String} GROUP BY ALL ORDER BY ALL"


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_every_drop_is_in_the_tables(client: Any) -> None:
    name = uuid.uuid4().hex
    dropped = {"event_type": "custom_event", "name": name, "visitor_id": "ada"}
    broken = dropped | {"consent_state": "granted", "typo": 1}
    for _ in range(3):
        assert client.send([dropped, dropped | {"consent_state": "denied"}, broken])[1]["consent_dropped"] == 2
    tenant = client.stack.endpoints.bootstrap_tenant
    expected = [[tenant, "no_consent", 6], [tenant, "unknown_field", 3]]
    until(lambda: client.server.rows(_BY_EVENT, event=name) == expected)
    epochs = client.server.rows(
        "SELECT missing, lost FROM drop_epochs WHERE epoch IN (SELECT epoch FROM drops WHERE event = {event:String})",
        event=name,
    )
    assert epochs == [[0, 0]]
    assert len(_QUERIES) == 2
    assert all(client.server.rows(query) for query in _QUERIES)


def test_an_outage_costs_none(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_REPORT_S", 0.2)
    settings = replace(client.stack.settings, state_dir=tmp_path)
    collector, event = f"test-{uuid.uuid4().hex}", uuid.uuid4().hex
    drops = DropLog(settings, collector=collector, clock=SystemClock())
    follower = Following(
        settings,
        keys=KeyTable.alone(settings),
        flags=Flags(),
        abuse=AbuseLog(settings, collector=collector, clock=SystemClock()),
        drops=drops,
        on_loaded=lambda: None,
    )
    drops.count([Dropped("t", event, "dnt")] * 5)
    follower.start()
    until(lambda: client.server.rows(_BY_EVENT, event=event) == [["t", "dnt", 5]])
    client.stack.engines.freeze("kafka")
    try:
        for _ in range(5):
            drops.count([Dropped("t", event, "dnt"), Dropped("t", event, "gpc")])
            time.sleep(0.3)
    finally:
        client.stack.engines.thaw("kafka")
    until(lambda: client.server.rows(_BY_EVENT, event=event) == [["t", "dnt", 10], ["t", "gpc", 5]])
    follower.stop()
    says = "SELECT closed, missing, events, dropped, lost FROM drop_epochs WHERE collector = {collector:String}"
    until(lambda: client.server.rows(says, collector=collector) == [[True, 0, 15, 15, 0]])
