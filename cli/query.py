"""`sluice query "SQL"`: one query on the running stack's ClickHouse, for people and for scripts."""

from __future__ import annotations

import os
import re
import sys

import click
from rich.console import Console
from rich.table import Table

from cli.endpoints import effective_settings
from core.settings import Settings

_MAX_ROWS_SHOWN = 1_000
_FORMAT = re.compile(r"\bFORMAT\s+\w+\s*$", re.IGNORECASE)  # the statement says itself how it is answered


@click.command()
@click.argument("sql")
@click.option("--format", "form", default="", help="A ClickHouse output format, e.g. CSV, JSONEachRow, Parquet.")
@click.option("--json", "as_json", is_flag=True, help="Same as --format JSONEachRow.")
def query(*, sql: str, form: str, as_json: bool) -> None:
    """Run SQL, or read it from standard input when it is `-`. Tables and views are in database `sluice`."""
    from sinks.clickhouse import ClickHouse

    server = ClickHouse(effective_settings(Settings.from_env(os.environ)))
    text = (sys.stdin.read() if sql == "-" else sql).strip().rstrip(";")
    chosen = "JSONEachRow" if as_json else form
    if chosen or _FORMAT.search(text) or not sys.stdout.isatty():
        sys.stdout.buffer.write(server.fetch(text, form=chosen or "TabSeparatedWithNames"))
        return
    lines = server.fetch(text, form="JSONCompactStringsEachRowWithNames").splitlines()
    _show(lines)


def _show(lines: list[bytes]) -> None:
    import msgspec

    if not lines:
        return
    table = Table(*msgspec.json.decode(lines[0], type=list[str]), header_style="bold")
    for line in lines[1 : _MAX_ROWS_SHOWN + 1]:
        table.add_row(*map(str, msgspec.json.decode(line)))
    Console().print(table)
    if len(lines) - 1 > _MAX_ROWS_SHOWN:
        click.echo(f"first {_MAX_ROWS_SHOWN} of {len(lines) - 1} rows; --format CSV writes all", err=True)
