"""`sluice sql`: the command."""

from __future__ import annotations

import sys

import click

from cli.sql.options import database_option, settings_for, user_option


@click.command("sql")
@database_option
@user_option
def sql(*, database: str | None, user: str) -> int:
    """SQL on ClickHouse, interactively: the embedded one, or the server that SLUICE_CLICKHOUSE_URL names.

    Statements end with `;` and may have several lines; `\\?` lists the console's own commands. The history is kept in
    the state folder. What is piped in runs without a prompt, up to the first error.
    """
    from rich.console import Console as Screen

    from cli.sql.console import Console, piped
    from cli.sql.server import connect, with_session

    settings = settings_for(user)
    server = with_session(connect(settings, database=settings.clickhouse_database if database is None else database))
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    console = Console(server, screen=Screen(), is_interactive=interactive)
    if not interactive:
        return console.loop(piped(iter(sys.stdin.readline, "")))
    from cli.sql.prompt import prompt

    apart = connect(settings, database=settings.clickhouse_database if database is None else database)
    version = apart.rows("SELECT version()")[0][0]
    click.echo(f"ClickHouse {version} at {settings.clickhouse_url}, as {settings.clickhouse_user}. \\? for help.")
    return console.loop(prompt(apart, history=settings.state_dir / "sql_history"))
