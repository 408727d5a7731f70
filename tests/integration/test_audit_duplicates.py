"""Ids that were let through twice, on the real stack: under two visitors they lie in two partitions."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest

from cli.audit.duplicates import look

pytestmark = pytest.mark.stack


def test_ids_in_two_partitions_are_counted_and_listed(client: Any) -> None:
    partitions, tag = client.stack.settings.partitions, uuid.uuid4().hex
    before, _ = look(client.server, partitions=partitions)
    event = {"event_type": "page_view", "consent_state": "granted"}
    # Two visitors share a partition now and then: of ten pairs some do not.
    events = [event | {"event_id": f"{tag}-{n}", "visitor_id": f"{tag}-{n}-{who}"} for n in range(10) for who in "ab"]
    assert client.send(events)[0] == 200
    assert client.send({"historical": True, "events": events[:2]})[0] == 200
    client.settle()
    rows = f"SELECT count() FROM events WHERE startsWith(event_id, '{tag}')"
    spread = (
        "SELECT count() FROM (SELECT event_id FROM events WHERE startsWith(event_id, {tag:String}) "
        "GROUP BY event_id HAVING uniqExact(raw_partition) > 1)"
    )
    deadline = time.monotonic() + 30
    while look(client.server, partitions=partitions)[0].ids == before.ids:
        assert time.monotonic() < deadline, client.server.scalar(rows)
        time.sleep(0.2)
    time.sleep(1)
    totals, listed = look(client.server, partitions=partitions, limit=1_000)
    mine = [each for each in listed if each.event_id.startswith(tag)]
    across = client.server.scalar(spread, tag=tag)
    assert across > 0, "else nothing was tried"
    assert len(mine) == across == totals.ids - before.ids == totals.across - before.across
    assert all((each.rows, each.partitions, len(each.places)) == (2, 2, 2) for each in mine)
    assert totals.extra_rows - before.extra_rows == across
    assert look(client.server, partitions=partitions, last="2000-01-01") == ((0, 0, 0), [])
