"""The log that ships with the demo, imported whole, against an independent recount."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cli.demo.recount import recount
from cli.importer import Totals, import_access_log


def test_totals_and_events_equal_the_recount(collector: Any, key: str, real_log: Path, tmp_path: Path) -> None:
    rejects = tmp_path / "rejects.jsonl"
    totals = import_access_log([real_log], collector_url=collector.url, key=key, rejects=rejects)
    truth = recount(real_log)

    assert totals == Totals(lines=10_000, accepted=9_999, malformed=1, reasons={"malformed.format": 1})
    assert (totals.lines, totals.rejected) == (truth.lines, truth.malformed)
    events = collector.accepted
    assert len({event["event_id"] for event in events}) == len(events) == truth.events

    views = [event for event in events if event["event_type"] == "page_view"]
    assert by_day(events) == truth.events_by_day
    assert by_day(views) == truth.page_views_by_day
    visitors = defaultdict(set)
    for view in views:
        visitors[view["occurred_at"][:10]].add(view["visitor_id"])
    assert {day: len(ids) for day, ids in visitors.items()} == truth.visitors_by_day
    pages = Counter(view["url"].partition("?")[0] for view in views)
    assert {page: pages[page] for page, _ in truth.top_pages} == dict(truth.top_pages)
    hosts = Counter(urlsplit(view["referrer"]).hostname for view in views)
    assert {host: hosts[host] for host, _ in truth.top_referrer_hosts} == dict(truth.top_referrer_hosts)

    [reject] = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert (reject["file"], reject["line"], reject["reason"], reject["code"]) == (
        str(real_log),
        8899,
        "malformed",
        "format",
    )
    assert reject["raw"].endswith("bot.html")


def test_no_address_leaves_the_importer(collector: Any, key: str, real_log: Path, tmp_path: Path) -> None:
    import_access_log([real_log], collector_url=collector.url, key=key, rejects=tmp_path / "rejects.jsonl")
    sent = json.dumps(collector.requests)
    # An address can also be part of a path or a referrer, which are the site's business: none in these.
    assert "83.149.9.216" not in sent
    assert "46.105.14.53" not in sent


def test_a_second_import_sends_the_same_events(collector: Any, key: str, real_log: Path, tmp_path: Path) -> None:
    for _ in range(2):
        import_access_log([real_log], collector_url=collector.url, key=key, rejects=tmp_path / "rejects.jsonl")
    half = len(collector.sent) // 2
    assert collector.sent[:half] == collector.sent[half:]


def test_sessions_end_after_half_an_hour(collector: Any, key: str, real_log: Path, tmp_path: Path) -> None:
    import_access_log([real_log], collector_url=collector.url, key=key, rejects=tmp_path / "rejects.jsonl")
    times = defaultdict(list)
    for event in collector.sent:
        at = datetime.fromisoformat(event["occurred_at"]).timestamp()
        times[event["visitor_id"], event["session_id"]].append(at)
    assert len(times) > len({visitor for visitor, _ in times}) > 1_000
    for session in times.values():
        session.sort()
        assert max((b - a for a, b in pairwise(session)), default=0) <= 1800


def by_day(events: list[dict[str, Any]]) -> dict[str, int]:
    return dict(sorted(Counter(event["occurred_at"][:10] for event in events).items()))
