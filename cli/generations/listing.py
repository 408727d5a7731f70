"""`sluice generations list` and `show`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import msgspec
from rich.console import Console
from rich.table import Table

from core.errors import InputError
from core.settings import Settings

if TYPE_CHECKING:
    from sinks.clickhouse import ClickHouse
    from sinks.generations.record import Claim, Entry

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_ROWS = """
SELECT partition, sum(rows) FROM system.parts
WHERE active AND database = currentDatabase() AND table = 'events_log' GROUP BY partition
"""


def _server() -> ClickHouse:
    from cli.endpoints import effective_settings
    from sinks.clickhouse import ClickHouse

    return ClickHouse(effective_settings(Settings.from_env(os.environ)))


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_command(*, as_json: bool) -> None:
    """List the generations of days that were restated."""
    from sinks.generations.record import Record

    server = _server()
    _show_entries(server, Record(server).entries(), as_json=as_json)


@click.command()
@click.argument("what", metavar="DAY|RUN")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def show(*, what: str, as_json: bool) -> None:
    """Show the generations of DAY (2026-03-01), or the days of RUN and how far it is with each."""
    from sinks.generations.record import Record

    server = _server()
    record = Record(server)
    if _DAY.fullmatch(what):
        _show_entries(server, record.entries([what]), as_json=as_json)
        return
    claims = record.of_run(what)
    if not claims:
        raise InputError(f"no run is named {what}", hint="`sluice generations list` shows the runs.")
    _show_claims(claims, as_json=as_json)


def _show_entries(server: ClickHouse, entries: Sequence[Entry], *, as_json: bool) -> None:
    rows: dict[str, int] = dict(server.rows(_ROWS))
    if as_json:
        for each in entries:
            line = asdict(each) | {"rows": rows.get(f"('{each.day}',{each.generation})", 0)}
            click.echo(msgspec.json.encode(line).decode())
        return
    table = Table("day", "generation", "readers", "state", "rows", "run", "since (UTC)", header_style="bold")
    for each in entries:
        count = rows.get(f"('{each.day}',{each.generation})", 0)
        visible = "see it" if each.visible else "-"
        table.add_row(each.day, str(each.generation), visible, each.state, str(count), each.run, _moment(each.at_ms))
    if entries:
        Console().print(table)
    else:
        click.echo("No day was restated: readers see generation 0 of each.")


def _show_claims(claims: Sequence[Claim], *, as_json: bool) -> None:
    if as_json:
        for claim in claims:
            click.echo(msgspec.json.encode(asdict(claim)).decode())
        return
    if claims[0].why:
        click.echo(f"why: {claims[0].why}")
    table = Table("day", "is", "generation", "replaces", "rows", "since (UTC)", header_style="bold")
    for claim in claims:
        replaces = ", ".join(map(str, claim.replaces))
        table.add_row(claim.day, claim.phase, str(claim.generation), replaces, str(claim.rows), _moment(claim.at_ms))
    Console().print(table)


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
