"""`sluice rollups rebuild`: days anew from the base."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from datetime import datetime

import click
import msgspec

from cli.rollups.days import bar, window
from core.errors import UsageError
from core.settings import Settings


@click.command("rebuild")
@click.argument("days", nargs=-1, type=click.DateTime(["%Y-%m-%d"]))
@window
@click.option("--run", "name", default="", help="Go on with this run, which was interrupted.")
@click.option("--why", default="", help="Reason, kept with the run.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def rebuild_command(
    *,
    days: tuple[datetime, ...],
    first: datetime | None,
    last: datetime | None,
    name: str,
    why: str,
    as_json: bool,
) -> None:
    """Make the rollups of DAYS (arrival, UTC) anew, or of all days from --from to --to.

    The base rows stay as they are. Readers see the old rollups until all days are whole, then the new ones. Live events
    go on meanwhile.
    """
    from cli.endpoints import effective_settings
    from sinks.clickhouse import ClickHouse
    from sinks.generations.handover import SinkPlans
    from sinks.rebuild import rebuild
    from sinks.recount import generations

    if not (days or first or last):
        raise UsageError("no day is named", hint="Name days, or --from and --to.")
    settings = effective_settings(Settings.from_env(os.environ))
    server = ClickHouse(settings)
    wanted = {each.date().isoformat() for each in days}
    if first or last:
        start, end = (each.date().isoformat() if each else "" for each in (first, last))
        wanted |= {day for day, _ in generations(server, first=start, last=end)}
    run = name or f"rebuild-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}"
    if not as_json:
        click.echo(f"run {run}", err=True)
    with bar() as show:
        done = rebuild(server, wanted, run=run, plans=SinkPlans(settings), why=why, progress=show)
    if as_json:
        click.echo(msgspec.json.encode({"run": run, "days": [asdict(each) for each in done]}).decode())
        return
    for each in done:
        click.echo(f"{each.day}  {each.rows} rows, generation {each.generation} in the place of {list(each.replaced)}")
