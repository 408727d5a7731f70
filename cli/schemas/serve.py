"""`sluice schemas serve`: the schemas of a folder over HTTP, without a stack."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import click

from cli.schemas.folder import chosen, folder_option
from core.settings import Settings


@click.command()
@folder_option
@click.option("--host", default="", help="Address to listen on. Default: SLUICE_REGISTRY_HOST.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port; 0 is any free one. Default: SLUICE_REGISTRY_PORT.")
def serve(*, folder: Path | None, host: str, port: int | None) -> None:
    """Serve released schemas as a Schema Registry does, read only, for Kafka tools.

    Subjects are the names of the schemas and, for the topics of Sluice, <topic>-value. A release shows within a second.
    """
    from cli.registry import run
    from core.log import configure

    settings = Settings.from_env(os.environ)
    configure(process="registry", level="warning", form=settings.log_format)
    settings = replace(
        settings,
        schemas_dir=str(chosen(folder)),
        registry_host=host or settings.registry_host,
        registry_port=settings.registry_port if port is None else port,
    )
    run(settings, another="--port", on_ready=lambda url: click.echo(f"ready: {url}  (Ctrl-C ends it)"))
