"""Tells a release to what runs: stream workers by the control topic, the database's typed views, an external registry.

All of it can be said again, so whatever could not be reached now is told by `sluice schemas publish` later.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import click

from cli.endpoints import effective_settings
from core import control
from core.errors import SluiceError, UnavailableError
from core.settings import Settings
from core.topics import Topics
from schemas.registry import Registry
from schemas.released import Released, encode


def settings_of_stack() -> Settings | None:
    """Settings with the addresses of what runs; None if nothing is known to run, nor an external registry."""
    settings = Settings.from_env(os.environ)
    try:
        return effective_settings(settings)
    except UnavailableError:
        return settings if settings.schema_registry_url else None


def tell_running(folder: Path, released: Sequence[Released]) -> None:
    """Tell what runs here, and say so.

    Raises:
        SluiceError: something runs that could not be told. What was released stays released.
    """
    settings = settings_of_stack()
    if settings is None:
        click.echo("Nothing of Sluice runs here. What starts from now on takes it.")
        return
    try:
        if settings.schema_registry_url:
            click.echo(f"the schema registry has {len(list(register(settings, folder)))} schemas")
        for line in tell(settings, folder, released):
            click.echo(line)
    except SluiceError as error:
        error.message = f"done, but not everything that runs was told: {error.message}"
        error.hint = "`sluice schemas publish` tells it again, as often as you like."
        raise


def all_released(registry: Registry) -> list[Released]:
    """What `registry` has released, our own records left out: they change with the program only."""
    return [
        Released(each.subject, each.version, each.id, each.source)
        for each in registry.schemas()
        if each.kind != "record" and not each.draft
    ]


def register(settings: Settings, folder: Path) -> Iterator[str]:
    """Put all that is released into the external registry; a line for each schema.

    Raises:
        UnavailableError, RefusedError, ConfigError: it did not take one; what it took before stays there.
    """
    from schemas.publishing import connect, publish
    from schemas.registry import registry_at

    for schema, there in publish(registry_at(folder), connect(settings), Topics.named(settings.topic_prefix)):
        yield f"{schema.label} is id {there.id}: {there.subject} version {there.version}"


def tell(settings: Settings, folder: Path, released: Sequence[Released]) -> Iterator[str]:
    """Tell the running stack; a line for each thing that was told.

    Raises:
        UnavailableError, RefusedError, ConfigError: something did not take it; what was told before stays told.
    """
    from sinks import migrate

    if settings.clickhouse_url:
        for each in migrate.apply(replace(settings, schemas_dir=str(folder))):
            yield f"database: {each}"
    if settings.kafka_bootstrap:
        control.put(settings, {each.key: encode(each) for each in released})
        yield f"stream workers are told: {', '.join(each.label for each in released)}"
