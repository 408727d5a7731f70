"""`sluice schemas publish`: everything that is released, to all that shall know it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from cli.schemas.folder import chosen, folder_option
from core.errors import UsageError
from core.settings import Settings


@click.command()
@folder_option
def publish(*, folder: Path | None) -> None:
    """Tell all released schemas to the external schema registry, if SLUICE_SCHEMA_REGISTRY_URL names one, and to the
    running stack, if there is one.

    In the registry, records of our topics go under <topic>-value, all else under its own name; the ids there are
    printed. Processes of the flow need this to have run once. What is there already stays as it is, so that running it
    again is harmless.
    """
    from cli.schemas.telling import all_released, register, settings_of_stack, tell
    from schemas.registry import registry_at

    settings = settings_of_stack() or Settings.from_env(os.environ)
    if not (settings.schema_registry_url or settings.kafka_bootstrap or settings.clickhouse_url):
        raise UsageError(
            "there is neither an external schema registry nor a running stack",
            hint="SLUICE_SCHEMA_REGISTRY_URL names the one, SLUICE_STATE_DIR the folder of the other.",
        )
    folder = chosen(folder)
    if settings.schema_registry_url:
        for line in register(settings, folder):
            click.echo(line)
    for line in tell(settings, folder, all_released(registry_at(folder))):
        click.echo(line)
