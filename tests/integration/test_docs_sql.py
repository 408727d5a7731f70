"""Every query of docs/sql.md on a real engine: a column that was renamed must not live on in the documents."""

from __future__ import annotations

import re
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.stack

_PAGE = (Path(__file__).parents[2] / "docs/sql.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"^```sql\n(.*?)^```$", _PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def stored(client: Any) -> Any:
    """A stack that holds an event of each kind the queries ask about."""
    visitor = f"v-{uuid.uuid4()}"
    common = {"visitor_id": visitor, "session_id": visitor, "consent_state": "granted"}
    page = {
        "event_type": "page_view",
        "url": "https://shop.example/p/1?utm_source=mail&utm_medium=news&utm_campaign=may",
        "referrer": "https://news.example/",
        "properties": {"status": 404},
        "occurred_at": "2015-05-18T10:00:00Z",
    }
    order = {
        "event_type": "custom_event",
        "name": "order_completed",
        "properties": {
            "order_id": "o-1",
            "total": "103.70",
            "currency": "EUR",
            "items": [{"product_id": "sku-1001", "quantity": 2, "unit_price": "49.90"}],
            "gift_wrap": True,
        },
    }
    broken = page | {"properties": {"status": "no"}}
    events = [common | page, common | {"event_type": "identity"}, common | order, common | broken]
    status, _ = client.send({"historical": True, "events": events})
    assert status == 200
    deadline = time.monotonic() + 20
    while client.server.scalar("SELECT count() FROM events WHERE visitor_id = {v:String}", v=visitor) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return client


def test_the_page_has_its_queries() -> None:
    assert len(QUERIES) >= 20


@pytest.mark.parametrize("query", QUERIES, ids=range(1, len(QUERIES) + 1))
def test_a_query_of_the_page_runs_and_finds_something(stored: Any, query: str) -> None:
    # Rollups are filled a moment after the base that the fixture waited for.
    deadline = time.monotonic() + 10
    while len(stored.server.fetch(query, form="TabSeparatedWithNames").splitlines()) < 2:
        assert time.monotonic() < deadline, "a heading and no row"
        time.sleep(0.05)


def test_the_page_knows_every_view_and_table(stored: Any) -> None:
    names = [
        name
        for (name,) in stored.server.rows(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine != 'MaterializedView' "
            "AND name NOT LIKE 'v\\_%'"  # made from contracts, which are anybody's
        )
    ]
    assert [name for name in names if f"`{name}`" not in _PAGE] == []


def test_the_page_knows_every_column_of_events(stored: Any) -> None:
    columns = [row[0] for row in stored.server.rows("DESCRIBE TABLE events")]
    listed = _PAGE.partition("## Columns of `events`")[2].partition("\n## ")[0]
    assert [name for name in columns if f"`{name}`" not in listed] == []
