"""`sluice generations publish`, `rollback`, `drop` and `prune`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from core.errors import UsageError
from core.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sinks.clickhouse import ClickHouse
    from sinks.generations.record import Claim

_why = click.option("--why", default="", help="Reason, kept with the run.")
_HOUR_S = 3_600


def _server() -> ClickHouse:
    from cli.endpoints import effective_settings
    from sinks.clickhouse import ClickHouse

    return ClickHouse(effective_settings(Settings.from_env(os.environ)))


@click.command()
@click.argument("run")
@_why
def publish(*, run: str, why: str) -> None:
    """Show what RUN staged in the place of what it replaces, all its days at once."""
    from sinks.generations.restatement import Restatement

    _say(Restatement(_server(), run, why=why).publish(), "readers see generation {generation}")


@click.command()
@click.argument("run")
@_why
def rollback(*, run: str, why: str) -> None:
    """Show again what RUN replaced, all its days at once. Events that came live since stay."""
    from sinks.generations.restatement import Restatement

    _say(Restatement(_server(), run, why=why).rollback(), "readers see {replaces} again")


@click.command()
@click.argument("run")
@_why
def drop(*, run: str, why: str) -> None:
    """Give RUN up before it is published. Its days are free for others."""
    from sinks.generations.restatement import Restatement

    _say(Restatement(_server(), run, why=why).drop(), "generation {generation} is given up")


@click.command("prune")
@click.option("--older-than-hours", default=168.0, show_default=True, help="How long it has been out of sight.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
def prune_command(*, older_than_hours: float, dry_run: bool) -> None:
    """Delete generations that are out of sight: replaced, rolled back or given up.

    A run whose replaced generations are deleted cannot be rolled back.
    """
    from sinks.generations import pruning
    from sinks.generations.record import Record

    if older_than_hours * _HOUR_S < pruning.MIN_AGE_S:
        raise UsageError("younger than an hour is too young", hint="A query that is running may still read it.")
    server = _server()
    found = pruning.due(Record(server), older_than_s=older_than_hours * _HOUR_S)
    for each in found if dry_run else pruning.prune(server, found):
        click.echo(f"{each.day}  generation {each.generation}, {each.state}")
    if not found:
        click.echo("nothing to prune")


def _say(claims: Sequence[Claim], what: str) -> None:
    for each in claims:
        replaces = ", ".join(map(str, each.replaces))
        click.echo(f"{each.day}  {what.format(generation=each.generation, replaces=replaces)}")
    if not claims:
        click.echo("nothing to do")
