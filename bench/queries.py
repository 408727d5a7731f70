"""What a dashboard asks, over 90 days of events made inside the engine: `python -m bench.queries --events 20000000`.

Five tenants of very different size, 60 % page views, sessions of eight events, 2,000 pages and 40 events of which few
make the most, one event in fifty from days ago. Days are inserted as a sink would, through all views, and then merged
by the engine as it likes. Every question is asked with several tenants, pages, events and windows.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from bench.clickhouse_engine import clickhouse
from sinks.clickhouse import ClickHouse

_FIRST = "2026-01-01"
_DAYS = 90
# Bounds asked for, in seconds.
ROLLUP_P95_S = 0.2
BASE_P95_S = 1.5

_FILL = """
INSERT INTO events_log (raw_partition, raw_offset, arrival_at, received_at, occurred_at, tenant, event, version,
    event_type, name, event_id, visitor_id, session_id, url, referrer, consent_state, source, properties, context,
    ua_browser, ua_os, ua_device, referrer_type, channel, geo_country)
WITH
    intDiv(number, 8) AS session,
    cityHash64(session) AS h,
    cityHash64(number, 'e') AS e,
    h % 100 AS share,
    multiIf(share < 50, 'north', share < 75, 'east', share < 90, 'south', share < 97, 'west', 'small') AS of_tenant,
    multiIf(e % 100 < 60, 'page_view', e % 100 < 95, 'custom_event', 'identity') AS kind,
    toUInt32(pow(e % 1000003 / 1000003, 4) * 2000) AS page,
    toUInt32(pow(e % 1000033 / 1000033, 3) * 40) AS custom,
    intDiv((number - {first:UInt64}) * 86000000, {rows:UInt64}) AS into_day,
    toDateTime64({start:DateTime}, 3, 'UTC') + toIntervalMillisecond(into_day) AS at,
    if(h % 400 < 8, at - toIntervalDay(1 + h % 3), at) AS happened
SELECT number % 4, number, at, at, happened, of_tenant,
    if(kind = 'custom_event', concat('event_', toString(custom)), kind), 1, kind,
    if(kind = 'custom_event', concat('event_', toString(custom)), ''), toString(sipHash128(number)),
    concat('v', toString(cityHash64(h % 400000))), concat('s', toString(h)),
    concat('https://shop.example/p/', toString(page), if(h % 10 = 0, concat('?utm_source=s', toString(h % 7),
        '&utm_medium=mail&utm_campaign=c', toString(h % 30)), '')),
    if(number % 8 = 0 AND h % 3 = 0, concat('https://r', toString(h % 200), '.example/'), ''), 'granted', 'native',
    concat('{"status":', toString(if(e % 50 = 0, 404, 200)), ',"total":', toString(e % 500), ',"plan":"p',
        toString(e % 5), '"}'),
    '{}', ['Chrome', 'Safari', 'Firefox', 'Edge'][h % 4 + 1], ['Windows', 'iOS', 'Android', 'macOS'][h % 4 + 1],
    ['desktop', 'mobile', 'tablet'][h % 3 + 1], 'direct', ['direct', 'search', 'mail', 'social'][h % 4 + 1],
    ['DE', 'FR', 'US', 'GB', 'PL', 'NL', 'ES'][h % 7 + 1]
FROM numbers({first:UInt64}, {rows:UInt64})
SETTINGS async_insert = 0, max_insert_threads = 1
"""

_WINDOW = "day BETWEEN {first:Date} AND {last:Date}"
_OF = "WHERE tenant = {tenant:String} AND " + _WINDOW
_SHOWN = "AND (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_generations)"
_BASE = (
    "FROM events WHERE tenant = {tenant:String} AND toDate(occurred_at) BETWEEN {first:Date} AND {last:Date} "
    "AND event = "
)

FROM_ROLLUPS = {
    "views and visitors by day": f"SELECT day, views, visitors, sessions FROM page_views_daily {_OF} ORDER BY day",
    "timeline by hour": (
        "SELECT hour, views, visitors FROM page_views_hourly WHERE tenant = {tenant:String} "
        "AND hour BETWEEN {last:Date} - 7 AND {last:Date} + 1 ORDER BY hour"
    ),
    "top pages": (f"SELECT path, sum(views) AS n FROM pages_daily {_OF} GROUP BY path ORDER BY n DESC, path LIMIT 20"),
    "one page by day": f"SELECT day, views, visitors FROM pages_daily {_OF} AND path = {{path:String}} ORDER BY day",
    "leaderboard": (
        f"SELECT event, name, sum(events) AS n FROM events_daily {_OF} GROUP BY event, name ORDER BY n DESC LIMIT 20"
    ),
    "one event by day": (
        f"SELECT day, sum(events) FROM events_daily {_OF} AND event = {{event:String}} GROUP BY day ORDER BY day"
    ),
    "referrers": (
        f"SELECT referrer_host, sum(views) AS n FROM referrers_daily {_OF} "
        "GROUP BY referrer_host ORDER BY n DESC LIMIT 20"
    ),
    "campaigns": (
        "SELECT utm_source, utm_medium, utm_campaign, sum(views) AS n FROM utm_daily "
        f"{_OF} GROUP BY utm_source, utm_medium, utm_campaign ORDER BY n DESC LIMIT 20"
    ),
    "devices": f"SELECT ua_device, sum(views) AS n FROM devices_daily {_OF} GROUP BY ua_device ORDER BY n DESC",
    "countries": f"SELECT geo_country, sum(views) AS n FROM countries_daily {_OF} GROUP BY geo_country ORDER BY n DESC",
    "visitors of the window": f"SELECT uniqExactMerge(visitors) FROM page_views_daily_log {_OF} {_SHOWN}",
    "sessions of the window": (
        "SELECT count(), avg(duration_s), countIf(bounced) / count() "
        "FROM sessions_between(first = {first:Date}, last = {last:Date}) WHERE tenant = {tenant:String}"
    ),
    "entry pages": (
        "SELECT entry_path, count() AS n FROM sessions_between(first = {first:Date}, last = {last:Date}) "
        "WHERE tenant = {tenant:String} GROUP BY entry_path ORDER BY n DESC LIMIT 20"
    ),
}
FROM_BASE = {
    "one event by day, with visitors": (
        f"SELECT toDate(occurred_at) AS day, count(), uniqExact(visitor_id) {_BASE} {{event:String}} "
        "GROUP BY day ORDER BY day"
    ),
    "one page by day, with visitors": (
        f"SELECT toDate(occurred_at) AS day, count(), uniqExact(visitor_id) {_BASE} 'page_view' "
        "AND path = {path:String} GROUP BY day ORDER BY day"
    ),
    "top pages on mobile devices": (
        f"SELECT path, count() AS n {_BASE} 'page_view' AND ua_device = 'mobile' GROUP BY path ORDER BY n DESC LIMIT 20"
    ),
    "a property": (
        f"SELECT JSONExtractString(properties, 'plan') AS plan, count(), sum(JSONExtractInt(properties, 'total')) "
        f"{_BASE} {{event:String}} GROUP BY plan ORDER BY plan"
    ),
    "who came from a campaign and did it": (
        f"SELECT uniqExact(visitor_id) {_BASE} {{event:String}} "
        f"AND visitor_id IN (SELECT visitor_id {_BASE} 'page_view' AND utm_campaign = 'c3')"
    ),
    "the last events of a visitor": (
        "SELECT occurred_at, event, path FROM events WHERE tenant = {tenant:String} AND visitor_id = {visitor:String} "
        "ORDER BY occurred_at DESC LIMIT 50"
    ),
}


@dataclass(frozen=True, slots=True)
class Timed:
    name: str
    seconds: list[float]

    def __str__(self) -> str:
        middle, high = statistics.median(self.seconds), p95(self.seconds)
        return f"  {self.name:38} {middle * 1000:8.0f} {high * 1000:8.0f}"


def p95(seconds: list[float]) -> float:
    return sorted(seconds)[math.ceil(len(seconds) * 0.95) - 1]


@click.command()
@click.option("--events", default=2_000_000, show_default=True, help="Events over 90 days.")
@click.option("--asked", default=12, show_default=True, help="Times that each question is asked.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep the data here, and find it here again.")
def main(*, events: int, asked: int, folder: Path | None) -> None:
    """Ask every question and compare the 95th percentiles with their bounds; ends with 1 above them."""
    with TemporaryDirectory() as temporary, clickhouse(folder or Path(temporary)) as settings:
        server = ClickHouse(settings)
        if not server.scalar("SELECT count() FROM events_log"):
            _fill(server, events)
        stored = server.scalar("SELECT count() FROM events")
        click.echo(f"{stored:,} events, {_DAYS} days; {_disk(server)}")
        kept = True
        for title, questions, bound in (("rollups", FROM_ROLLUPS, ROLLUP_P95_S), ("base", FROM_BASE, BASE_P95_S)):
            click.echo(f"from the {title:29} {'p50 ms':>8} {'p95 ms':>8}")
            timed = [Timed(name, [*_ask(server, sql, asked)]) for name, sql in questions.items()]
            for each in timed:
                click.echo(str(each))
            whole = p95([second for each in timed for second in each.seconds])
            kept &= whole < bound
            click.echo(f"  {'all of them':38} {'':8} {whole * 1000:8.0f}  asked for: {bound * 1000:.0f}")
    sys.exit(0 if kept else 1)


def _fill(server: ClickHouse, events: int) -> None:
    rows = events // _DAYS
    for day in range(_DAYS):
        start = server.scalar(
            "SELECT toString(toDate({first:Date}) + {day:UInt16}) || ' 00:00:00'", first=_FIRST, day=day
        )
        server.execute(_FILL, start=start, first=day * rows, rows=rows)
        click.echo(f"\r{day + 1} of {_DAYS} days", nl=day + 1 == _DAYS, err=True)


def _disk(server: ClickHouse) -> str:
    sizes = server.rows(
        "SELECT table = 'events_log' AS base, sum(data_compressed_bytes), sum(data_uncompressed_bytes) "
        "FROM system.parts WHERE active AND database = currentDatabase() GROUP BY base ORDER BY base DESC"
    )
    (_, stored, raw), (_, rollups, _) = sizes
    return f"base {stored / 2**20:,.0f} MiB (1:{raw / stored:.1f}), rollups {rollups / 2**20:,.0f} MiB"


def _ask(server: ClickHouse, sql: str, asked: int) -> Iterator[float]:
    draw = random.Random(sql)  # the same questions in every run
    for turn in range(asked + 1):
        last = f"2026-03-{draw.randint(20, 31)}"
        days = draw.choice([7, 30, 89])
        first = server.scalar("SELECT toString({last:Date} - {days:UInt16})", last=last, days=days)
        bound = {
            "tenant": draw.choice(["north", "east", "south"]),
            "first": first,
            "last": last,
            "path": f"/p/{draw.choice([0, 3, 50, 700])}",
            "event": f"event_{draw.choice([0, 2, 9, 30])}",
            "visitor": f"v{server.scalar('SELECT cityHash64({n:UInt64})', n=draw.randrange(400_000))}",
        }
        started = time.perf_counter()
        server.execute(sql, **bound)
        if turn:  # the first one warms caches
            yield time.perf_counter() - started


if __name__ == "__main__":
    main()
