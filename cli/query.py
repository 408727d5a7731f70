"""`sluice query "SQL"`: statements for scripts, and a table of the result for people."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Final

import click

from cli.sql.options import database_option, pairs, settings_for, user_option
from core.errors import InputError, UsageError

_PIECE_BYTES: Final = 1 << 20


@click.command()
@click.argument("sql", default="-")
@click.option("--format", "form", default="", help="A ClickHouse output format, e.g. CSV, JSONEachRow, Parquet.")
@click.option("--json", "as_json", is_flag=True, help="Same as --format JSONEachRow.")
@click.option("--param", "parameters", multiple=True, callback=pairs, metavar="NAME=VALUE",
              help="Value of {NAME:Type} in the SQL; may be repeated.")  # fmt: skip
@click.option("--set", "settings", multiple=True, callback=pairs, metavar="NAME=VALUE",
              help="A setting of ClickHouse; may be repeated.")  # fmt: skip
@click.option("--max-seconds", type=click.FloatRange(min=0, min_open=True), help="Stop a statement after so long.")
@click.option("--progress/--no-progress", default=None, help="Show how far it is; by default on a terminal.")
@database_option
@user_option
def query(  # noqa: PLR0913  an option each
    *,
    sql: str,
    form: str,
    as_json: bool,
    parameters: Mapping[str, str],
    settings: Mapping[str, str],
    max_seconds: float | None,
    progress: bool | None,
    database: str | None,
    user: str,
) -> None:
    """Run SQL, or read it from standard input when it is left out or `-`. Tables and views are in database `sluice`.

    Several statements are separated by `;`; the first that fails ends it. An INSERT without rows in its text takes
    them from standard input. On a terminal a result is drawn as a table, elsewhere it is TabSeparatedWithNames.

    \b
    Examples:
      sluice query 'SELECT count() FROM events'
      sluice query 'SELECT * FROM events LIMIT 10' --json
      sluice query 'SELECT count() FROM events WHERE tenant = {t:String}' --param t=shop
      sluice query 'SELECT * FROM events' --format Parquet > events.parquet
      sluice query 'INSERT INTO notes FORMAT CSV' < notes.csv
    """
    from rich.console import Console

    from cli.sql import running, server, statements
    from cli.sql.running import How

    if form and as_json:
        raise UsageError("--json and --format exclude each other")
    pieces = statements.split(sys.stdin.read() if sql == "-" else sql)
    if not pieces:
        raise InputError("there is no statement")
    for piece in pieces:
        if statements.takes_rows(piece.sql) and (sql == "-" or piece is not pieces[-1]):
            raise InputError(
                "an INSERT without rows in its text takes them from standard input",
                hint="Give it as the argument, and last.",
            )
    found = settings_for(user)
    connected = server.connect(found, database=found.clickhouse_database if database is None else database)
    if len(pieces) > 1:
        connected = server.with_session(connected)
    limits = {} if max_seconds is None else {"max_execution_time": f"{max_seconds:g}"}
    how = How(
        form="JSONEachRow" if as_json else form,
        console=Console() if sys.stdout.isatty() else None,
        shows_progress=sys.stderr.isatty() if progress is None else progress,
        settings={**settings, **limits},
        parameters=parameters,
    )
    for piece in pieces:
        done = running.run(connected, piece.sql, how, rows=_stdin() if statements.takes_rows(piece.sql) else None)
        if done.drawn is not None and done.drawn.is_cut:
            click.echo(f"the first {done.drawn.rows:,} rows; --format CSV writes all", err=True)


def _stdin() -> Iterator[bytes]:
    while piece := sys.stdin.buffer.read(_PIECE_BYTES):
        yield piece
