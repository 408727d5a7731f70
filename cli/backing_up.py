"""`sluice backup` and `sluice restore`: what is in ClickHouse, and what Kafka knows of it, in a folder; and back."""

from __future__ import annotations

import os
from pathlib import Path

import click

from core.errors import ExitCode, UsageError
from core.settings import Settings


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def backup(folder: Path) -> None:
    """Write all tables and the control topic into FOLDER. Everything may run meanwhile.

    The backup holds what the sinks had stored when it began.
    """
    from sinks.backup import backup as save

    manifest = save(_settings(), folder, on_step=_say)
    rows = manifest.rows()
    click.echo(f"{sum(rows.values()):,} rows of {len(rows)} tables in {folder}")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option("--rewind", is_flag=True, help="No folder: let the sinks go on behind what the tables hold.")
def restore(folder: Path | None, *, rewind: bool) -> int:
    """Fill an empty database from the backup in FOLDER, and let the sinks go on from its offsets.

    No sink may run. Exits 0 when the sinks can go on, 1 when Kafka has other topics than the backup: then what was
    restored can be read, and new events need a database of their own.
    """
    if rewind == (folder is not None):
        raise UsageError("name a folder, or --rewind")
    from sinks import offsets
    from sinks.backup import restore as fill

    settings = _settings()
    if folder is None:
        offsets.rewind(settings, offsets.stored(settings))
        click.echo("the sinks go on behind what the tables hold")
        return ExitCode.OK
    done = fill(settings, folder, on_step=_say)
    click.echo(f"{sum(done.rows.values()):,} rows of {len(done.rows)} tables restored and verified")
    if done.rewound:
        click.echo("the sinks go on from the offsets of the backup")
        return ExitCode.OK
    click.secho(f"the sinks were not rewound: {done.why}", fg="red")
    return ExitCode.DIFFERENCE


def _say(step: str) -> None:
    click.echo(step, err=True)


def _settings() -> Settings:
    from cli.endpoints import effective_settings

    return effective_settings(Settings.from_env(os.environ))
