"""`sluice audit duplicates`: ids that the streams let through twice.

A dedupe window is one partition's, and ends: an id is let through again where it comes after the window's end, or under
another visitor and so in another partition. Nothing live can tell; the tables can.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from core.errors import ExitCode
from core.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sinks.clickhouse import ClickHouse

_DAY = click.DateTime(["%Y-%m-%d"])
_DAYS = 7  # the last ones are looked at, unless said
# One row an id of the window is held by the engine: its own disk takes what is more.
_SPILL_BYTES = 500_000_000
_IDS = (
    "SELECT tenant, event_id, count() AS rows, uniqExact(raw_partition % {partitions:UInt32}) AS homes, "
    "arraySort(groupArray(50)((arrival_at, raw_partition, raw_offset))) AS places FROM events "
    "WHERE arrival_day >= if({first:String} = '', today() - {days:UInt32}, toDateOrZero({first:String})) "
    "AND ({last:String} = '' OR arrival_day <= toDateOrZero({last:String})) GROUP BY tenant, event_id HAVING rows > 1"
)
_SETTINGS = f"SETTINGS max_bytes_before_external_group_by = {_SPILL_BYTES}"


class Found(NamedTuple):
    """An id with several rows, in `partitions` different partitions; `places` as arrival, raw partition, offset."""

    tenant: str
    event_id: str
    rows: int
    partitions: int
    places: list[tuple[str, int, int]]


class Totals(NamedTuple):
    """Ids with several rows, the rows beyond the first of each, and how many of the ids are in several partitions."""

    ids: int
    extra_rows: int
    across: int


def look(
    server: ClickHouse, *, partitions: int, first: str = "", last: str = "", limit: int = 20
) -> tuple[Totals, list[Found]]:
    """All of them counted, at most `limit` listed: those in several partitions first. Days are those of arrival."""
    asked: dict[str, Any] = {"partitions": partitions, "first": first, "last": last, "days": _DAYS}
    counted = server.rows(f"SELECT count(), sum(rows - 1), countIf(homes > 1) FROM ({_IDS}) {_SETTINGS}", **asked)  # noqa: S608 (a constant)
    listed = server.rows(
        "SELECT tenant, event_id, rows, homes, arrayMap(p -> (toString(p.1), p.2, p.3), places) "  # noqa: S608 (a constant)
        f"FROM ({_IDS}) ORDER BY homes > 1 DESC, rows DESC, tenant, event_id LIMIT {{limit:UInt32}} {_SETTINGS}",
        **asked,
        limit=limit,
    )
    found = [
        Found(tenant, event_id, int(rows), int(homes), [(at, int(p), int(o)) for at, p, o in places])
        for tenant, event_id, rows, homes, places in listed
    ]
    return Totals(*map(int, counted[0])), found


@click.command()
@click.option("--from", "first", type=_DAY, help=f"First day of arrival (UTC); {_DAYS} days ago if it is left out.")
@click.option("--to", "last", type=_DAY, help="Last day of arrival (UTC).")
@click.option("--limit", default=20, show_default=True, help="Most ids to list.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def duplicates(*, first: datetime | None, last: datetime | None, limit: int, as_json: bool) -> int:
    """Count event ids that have several rows, and list them; those in several partitions first. Exits 1 if there are.

    An id is let through again after the dedupe window, or under another visitor.
    """
    from cli.endpoints import effective_settings
    from cli.tail.safe_text import json_line
    from sinks.clickhouse import ClickHouse

    settings = effective_settings(Settings.from_env(os.environ))
    totals, found = look(
        ClickHouse(settings),
        partitions=settings.partitions,
        first=first.date().isoformat() if first else "",
        last=last.date().isoformat() if last else "",
        limit=limit,
    )
    if as_json:
        click.echo(json_line({**totals._asdict(), "listed": [each._asdict() for each in found]}))
    else:
        for line in _lines(totals, found):
            click.echo(line)
    return ExitCode.DIFFERENCE if totals.ids else ExitCode.OK


def _lines(totals: Totals, found: list[Found]) -> Iterator[str]:
    from cli.tail.safe_text import shown

    if not totals.ids:
        yield "no event id has several rows"
        return
    yield f"{totals.ids:,} event ids have {totals.extra_rows:,} rows too many, {totals.across:,} in several partitions"
    for each in found:
        yield f"  {shown(each.tenant)} {shown(each.event_id)}: {each.rows} rows in {each.partitions} partitions"
        yield from (f"    {at} UTC, raw {partition}@{offset}" for at, partition, offset in each.places)
