"""What ClickHouse has of events that were sent: their rows, the rows they repeat, and the rollups they count in.

Rows are asked for by raw coordinates, which are numbers of ours; text that clients chose goes in as parameters only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cli.send.fate import Entry, Place
from core.settings import Settings
from sinks.clickhouse import ClickHouse


@dataclass(frozen=True, slots=True)
class _Rollup:
    """`keys` name an entry besides tenant and day, `value` is shown, `where` selects the events that count in it."""

    view: str
    keys: tuple[str, ...]
    value: str
    where: str = "event_type = 'page_view'"


_UTM = ("utm_source", "utm_medium", "utm_campaign")
_CAMPAIGN = " OR ".join(f"{column} != ''" for column in _UTM)
# As sinks/migrations/0002_rollups.sql fills them.
_ROLLUPS = (
    _Rollup("events_daily", ("event", "name"), "events", "1"),
    _Rollup("page_views_daily", (), "views"),
    _Rollup("pages_daily", ("path",), "views"),
    _Rollup("referrers_daily", ("referrer_host",), "views", "event_type = 'page_view' AND referrer_host != ''"),
    _Rollup("utm_daily", _UTM, "views", f"event_type = 'page_view' AND ({_CAMPAIGN})"),
)


class Rows:
    """Raises what `ClickHouse` raises: UnavailableError if it does not answer."""

    def __init__(self, settings: Settings) -> None:
        self._server = ClickHouse(settings)
        self._window = timedelta(hours=settings.dedupe_window_hours)

    def visible(self, places: Sequence[Place]) -> set[tuple[int, int]]:
        """Raw coordinates of the rows that readers see."""
        if not places:
            return set()
        sql = f"SELECT raw_partition, raw_offset FROM events WHERE {_among(places)}"  # noqa: S608 (numbers)
        return {(int(partition), int(offset)) for partition, offset in self._server.rows(sql)}

    def first(self, *, tenant: str, event_id: str, before: Place) -> Place | None:
        """Where the event came from that was stored under this id within the dedupe window."""
        since = datetime.fromtimestamp(before.arrival_ms / 1000, UTC) - self._window
        found = self._server.rows(
            "SELECT raw_partition, raw_offset, toUnixTimestamp64Milli(arrival_at) FROM events "
            "WHERE arrival_day >= toDate({since:String}) AND tenant = {tenant:String} AND event_id = {id:String} "
            "ORDER BY arrival_at LIMIT 1",
            since=since.date().isoformat(),
            tenant=tenant,
            id=event_id,
        )
        return Place(*map(int, found[0])) if found else None

    def rollups(self, place: Place) -> list[Entry]:
        """Entries that the row from `place` counts in."""
        return [entry for rollup in _ROLLUPS for entry in self._entries(rollup, place)]

    def _entries(self, rollup: _Rollup, place: Place) -> Iterable[Entry]:
        keys = "".join(f", {key}" for key in rollup.keys)
        sql = (
            f"SELECT toString(day){keys}, {rollup.value} FROM {rollup.view} WHERE (tenant, day{keys}) IN "  # noqa: S608
            f"(SELECT tenant, toDate(occurred_at){keys} FROM events WHERE {_among([place])} AND {rollup.where})"
        )
        for day, *texts, value in self._server.rows(sql):
            yield Entry(rollup.view, str(day), dict(zip(rollup.keys, map(str, texts), strict=True)), int(value))


def _among(places: Sequence[Place]) -> str:
    arrivals = (datetime.fromtimestamp(place.arrival_ms / 1000, UTC) for place in places)
    days = ", ".join(sorted({f"'{arrival.date().isoformat()}'" for arrival in arrivals}))
    pairs = ", ".join(f"({place.partition}, {place.offset})" for place in places)
    return f"arrival_day IN ({days}) AND (raw_partition, raw_offset) IN ({pairs})"
