"""The twenty queries of docs/sql.md on rows that one can count by hand: answers, not only that they run."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.settings import Settings
from sinks.clickhouse import ClickHouse
from sinks.row import Row
from tests.infra.clickhouse.front import Front
from tests.sinks.days import prepare, store, view

_PAGE = (Path(__file__).parents[2] / "docs/sql.md").read_text(encoding="utf-8")
_CHAPTER = _PAGE.partition("## Twenty queries")[2]
QUERIES = {
    int(number): sql
    for number, sql in re.findall(r"^(\d+)\. .*?^```sql\n(.*?)^```$", _CHAPTER, re.MULTILINE | re.DOTALL)
}
MAIL = "?utm_source=mail&utm_medium=news&utm_campaign=may"
PHONE = {"ua_device": "mobile", "geo_country": "DE"}
DESK = {"ua_device": "desktop", "geo_country": "FR"}

# Time, visitor, session, what happened, and what else is known. One session goes over midnight, one comes from a mail
# and bounces, one has no page but an identity.
WHAT: list[tuple[str, str, str, str, dict[str, Any]]] = [
    ("17T10:00", "v1", "s1", f"/a{MAIL}", PHONE),
    ("17T10:05", "v1", "s1", "/b", PHONE),
    ("18T09:00", "v1", "s2", f"/a{MAIL}", PHONE),
    ("17T23:50", "v2", "s3", "/a", DESK | {"referrer": "https://news.example/x"}),
    ("18T00:10", "v2", "s3", "/c", DESK),
    ("18T00:20", "v2", "s3", "order_completed", DESK),
    ("19T12:00", "v3", "s4", "/b", DESK | {"referrer": "https://news.example/y"}),
    ("19T12:01", "v3", "s4", "signup", DESK),
    ("20T08:00", "v4", "s5", "/a", PHONE | {"referrer": "https://other.example/"}),
    ("20T08:30", "v4", "s5", "/a", PHONE),
    ("20T08:31", "v4", "s5", "order_completed", PHONE),
    ("20T09:00", "v5", "s6", "identity", {}),
]
ANSWERS: dict[int, list[list[Any]]] = {
    1: [["2015-05-17", 3], ["2015-05-18", 3], ["2015-05-19", 2], ["2015-05-20", 4]],
    2: [
        ["2015-05-17", 3, 2, 2],
        ["2015-05-18", 2, 2, 2],
        ["2015-05-19", 1, 1, 1],
        ["2015-05-20", 2, 1, 1],
    ],
    3: [["/a", 5], ["/b", 2], ["/c", 1]],
    4: [["news.example", 2], ["other.example", 1]],
    5: [["mail", "news", "may", 2]],
    6: [
        ["page_view", "", 8],
        ["order_completed", "order_completed", 2],
        ["custom_event", "signup", 1],
        ["identity", "", 1],
    ],
    7: [[200, 8], [0, 4]],
    8: [[4, 8]],
    9: [[5, 1.6, 2]],
    # Other tenants count here.
    10: [[9, 9, 13, 13]],
    11: [["2015-05-18 00:00:00", 1, 1], ["2015-05-18 09:00:00", 1, 1]],
    12: [
        ["2015-05-17", 2, 1050, 0],
        ["2015-05-18", 1, 0, 1],
        ["2015-05-19", 1, 60, 0],
        ["2015-05-20", 2, 930, 0],
    ],
    13: [["/a", "/a", 2], ["/a", "/b", 1], ["/a", "/c", 1], ["/b", "/b", 1]],
    14: [["", 3, 1.67, 0], ["may", 2, 1.5, 1]],
    15: [["mobile", 5, 0.625], ["desktop", 3, 0.375]],
    16: [["DE", 5, 2], ["FR", 3, 2]],
    17: [["/a", 2, 3, -1], ["/c", 0, 1, -1], ["/b", 1, 1, 0]],
    18: [["2015-05-17", 2, 0], ["2015-05-18", 0, 2], ["2015-05-19", 1, 0], ["2015-05-20", 2, 0]],
    19: [[4, 2]],
    20: [[0, 12, 12, 0, "2023-11-14 12:00:00.000", "2015-05-20 09:00:00.000"]],
}


def _row(
    number: int, time: str, visitor: str, session: str, what: str, more: dict[str, Any], tenant: str = "demo"
) -> Row:
    is_view = what.startswith("/")
    at_ms = int(datetime.fromisoformat(f"2015-05-{time}:00+00:00").timestamp() * 1000)
    known: dict[str, Any] = {
        "tenant": tenant,
        "visitor_id": visitor,
        "session_id": session,
        "occurred_at": at_ms,
        "url": f"https://shop.example{what}" if is_view else "https://shop.example/",
        "referrer": "",
        "properties": '{"status":200}' if is_view else "{}",
    }
    if what == "identity":
        known |= {"event": "identity", "event_type": "identity"}
    elif not is_view:
        known |= {"event": "order_completed" if what == "order_completed" else "custom_event"}
        known |= {"event_type": "custom_event", "name": what}
    # As the streams fill them in.
    if MAIL in what:
        known |= {"utm_term": "", "channel": "email"}
    return view(number, raw=number, **(known | more))


@pytest.fixture(scope="module")
def server(engine: Front, engine_settings: Settings) -> Iterator[ClickHouse]:
    own = dataclasses.replace(engine_settings, clickhouse_database="sql_page")
    found = prepare(own)
    rows = [_row(number, *each) for number, each in enumerate(WHAT)]
    store(found, rows[:5])  # sessions over several blocks
    store(found, [*rows[5:], _row(12, "18T09:00", "v1", "s2", "/a", PHONE, tenant="other")])
    outcome = {
        "raw_partition": 0,
        "first": 0,
        "last": 12,
        "arrival_at": "2023-11-14 12:00:00",
        "runs": [{"outcome": "curated", "first": 0, "count": 13}],
    }
    found.insert(
        "INSERT INTO outcomes_log FORMAT JSONEachRow", msgspec.json.encode(outcome), settings={"async_insert": "0"}
    )
    yield found
    ClickHouse(own, database="").execute("DROP DATABASE sql_page")


def test_there_are_twenty_and_each_has_an_answer() -> None:
    assert [*QUERIES] == [*range(1, 21)]
    assert QUERIES.keys() == ANSWERS.keys()


@pytest.mark.parametrize("number", ANSWERS)
def test_the_answer_is_what_one_counts(server: ClickHouse, number: int) -> None:
    assert server.rows(QUERIES[number]) == ANSWERS[number]
