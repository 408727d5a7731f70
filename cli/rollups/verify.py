"""`sluice rollups verify`: every rollup against a recount of the base, key by key."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

import click
import msgspec

from cli.rollups.days import bar, window
from core.errors import ExitCode
from core.settings import Settings

if TYPE_CHECKING:
    from sinks.clickhouse import ClickHouse
    from sinks.recount import Difference


def _differences(server: ClickHouse, settings: Settings, day: str, generation: int) -> list[Difference]:
    from sinks import recount
    from sinks.generations.cut import cut
    from sinks.generations.handover import SinkPlans

    try:
        return recount.differences(server, day, generation)
    except recount.MovingError:
        cut(server, day, plans=SinkPlans(settings))
        return recount.differences(server, day, generation)


@click.command()
@window
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def verify(*, first: datetime | None, last: datetime | None, as_json: bool) -> None:
    """Compare every rollup with a recount of the base. Ends with 1 if one differs, and says where.

    Of each rollup and day at most 20 keys are named. Where events come in all the time, those that come from now on go
    to a new generation of the day, so that the others can be compared: not a thing for every minute.
    """
    from cli.endpoints import effective_settings
    from sinks import recount
    from sinks.clickhouse import ClickHouse

    settings = effective_settings(Settings.from_env(os.environ))
    server = ClickHouse(settings)
    days = recount.generations(
        server, first=first.date().isoformat() if first else "", last=last.date().isoformat() if last else ""
    )
    found: list[recount.Difference] = []
    with bar() as show:
        for done, (day, generation) in enumerate(days):
            show(day, done, len(days))
            found += _differences(server, settings, day, generation)
    rollups = [each.table for each in recount.comparables(server)]
    if as_json:
        answer = {"generations": days, "rollups": rollups, "differences": [asdict(each) for each in found]}
        click.echo(msgspec.json.encode(answer).decode())
    else:
        for each in found:
            click.secho(str(each), fg="red")
        of_days = f"{len({day for day, _ in days})} days, {len(rollups)} rollups"
        click.echo(f"{of_days}: {f'{len(found)} differences' if found else 'all equal a recount'}")
    if found:
        if not as_json:
            click.echo(f"`sluice rollups rebuild {' '.join(sorted({each.day for each in found}))}` makes them whole.")
        sys.exit(ExitCode.DIFFERENCE)
