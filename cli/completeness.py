"""`sluice completeness`: how far the tables are, and whether anything is missing in between."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import msgspec
from rich.console import Console
from rich.table import Table

from core.errors import ExitCode
from core.settings import Settings

if TYPE_CHECKING:
    from sinks.completeness import Completeness


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def completeness(*, as_json: bool) -> None:
    """Show for each raw partition what is stored without a gap, how far behind it is, and which days are closed.

    Ends with 1 if raw offsets between others have no outcome. Being behind is no error.
    """
    from cli.endpoints import effective_settings
    from core.lanes import Lanes
    from sinks.clickhouse import ClickHouse
    from sinks.completeness import completeness as look
    from sinks.completeness import raw_logs

    settings = effective_settings(Settings.from_env(os.environ))
    now = datetime.now(UTC)
    found = look(ClickHouse(settings), raw_logs(settings), lanes=Lanes.of(settings), now=now)
    if as_json:
        click.echo(msgspec.json.encode(asdict(found) | {"complete": found.complete}).decode())
    else:
        _show(found)
    if found.gaps:
        sys.exit(ExitCode.DIFFERENCE)


def _show(found: Completeness) -> None:
    table = Table("partition", "lane", "stored to", "log ends", "behind", "arrived", "happened", header_style="bold")
    for each in found.partitions:
        stored = str(each.stored_to) if each.stored_to >= 0 else "-"
        moments = (_moment(each.arrival_watermark_ms), _moment(each.event_watermark_ms))
        table.add_row(str(each.number), each.lane, stored, str(each.end), str(each.behind), *moments)
    Console().print(table)
    for gap in found.gaps:
        click.secho(f"partition {gap.partition}: offsets {gap.first} to {gap.last} have no outcome", fg="red")
    click.echo(f"Days of arrival are closed through {found.closed_through or '-'} (UTC).")


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S") if at_ms else "-"
