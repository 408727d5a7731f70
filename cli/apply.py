"""`sluice topics`: bring Kafka to what is declared. Safe to run again."""

from __future__ import annotations

import os

import click

from core.settings import Settings


@click.command()
def topics() -> None:
    """Create missing topics and correct their settings on SLUICE_KAFKA_BOOTSTRAP."""
    from cli.endpoints import effective_settings
    from infra import topics as applier

    changes = applier.apply(effective_settings(Settings.from_env(os.environ)))
    for change in changes:
        click.echo(change)
    if not changes:
        click.echo("nothing to do: the topics are as declared")
