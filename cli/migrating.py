"""`sluice migrate`: bring the ClickHouse database to what the migrations say, and tell where it is not."""

from __future__ import annotations

import os

import click

from core.errors import ExitCode
from core.settings import Settings


@click.group(invoke_without_command=True, subcommand_metavar="[COMMAND]")
@click.pass_context
def migrate(context: click.Context) -> None:
    """Apply the migrations that the database at SLUICE_CLICKHOUSE_URL does not have yet.

    Without a command it applies them. With SLUICE_CLICKHOUSE_CLUSTER they are applied on that cluster, and tables are
    replicated.
    """
    if context.invoked_subcommand is None:
        context.invoke(apply)


@migrate.command()
def apply() -> None:
    """Apply what is pending. Safe to run again, also after it was killed."""
    from sinks import migrate as migrations

    applied = migrations.apply(_settings())
    for each in applied:
        click.echo(f"applied {each}")
    if not applied:
        click.echo("nothing to do: the database is up to date")


@migrate.command()
@click.option("--sql", is_flag=True, help="Print the statements, as the server would get them.")
@click.option("--all", "everything", is_flag=True, help="All migrations, for a server that is not asked.")
def plan(*, sql: bool, everything: bool) -> None:
    """Say what would be applied. Changes nothing."""
    from sinks import migrate as migrations
    from sinks.cluster import render

    settings = Settings.from_env(os.environ) if everything else _settings()
    pending = migrations.load() if everything else migrations.plan(settings)
    for each in pending:
        click.echo(f"-- {each}" if sql else f"pending {each}")
        for statement in each.statements if sql else ():
            click.echo(f"{render(statement, settings.clickhouse_cluster)};\n")
    if not pending:
        click.echo("nothing to do: the database has all migrations")


@migrate.command()
def status() -> int:
    """Show which migrations the database has, and what it lacks of what they made.

    Exits 0 when all is there, 1 when a migration is pending or something is missing.
    """
    from sinks import migrate as migrations
    from sinks.clickhouse import ClickHouse
    from sinks.drift import drift

    settings = _settings()
    done = migrations.applied(ClickHouse(settings))
    pending = {each.number for each in migrations.plan(settings)}
    for each in migrations.load():
        click.echo(f"{'pending' if each.number in pending else 'applied'} {each}")
    found = drift(settings) if done else []
    for difference in found:
        click.secho(str(difference), fg="red")
        if difference.remedy:
            click.echo(f"    {difference.remedy};")
    return ExitCode.DIFFERENCE if pending or found else ExitCode.OK


def _settings() -> Settings:
    from cli.endpoints import effective_settings

    return effective_settings(Settings.from_env(os.environ))
