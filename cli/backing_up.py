"""`sluice backup` and `sluice restore`: what is in ClickHouse, and what Kafka knows of it, in a folder; and back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.errors import ExitCode, UsageError
from core.settings import Settings

if TYPE_CHECKING:
    from sinks.offsets import Gap


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def backup(folder: Path) -> None:
    """Write all tables and the control topic into FOLDER. Everything may run meanwhile.

    The backup holds what the sinks had stored when it began.
    """
    from sinks.backup.writing import backup as save

    manifest = save(_settings(), folder, on_step=_say)
    rows = manifest.rows()
    click.echo(f"{sum(rows.values()):,} rows of {len(rows)} tables in {folder}")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option("--rewind", is_flag=True, help="No folder: let the sinks go on behind what the tables hold.")
@click.option("--accept-gaps", is_flag=True, help="With --rewind: also where Kafka has deleted what comes there.")
def restore(folder: Path | None, *, rewind: bool, accept_gaps: bool) -> int:
    """Fill an empty database from the backup in FOLDER, and let the sinks go on from its offsets.

    No sink may run. Exits 0 when the sinks can go on without leaving a record out. Exits 1 when they cannot: what was
    restored can be read, and the message says what to do.
    """
    if rewind == (folder is not None) or (accept_gaps and not rewind):
        raise UsageError("name a folder, or --rewind")
    settings = _settings()
    if folder is None:
        from sinks import offsets

        return _rewound(offsets.rewind(settings, offsets.stored(settings), accept_gaps=accept_gaps))
    from sinks.backup.restoring import restore as fill

    done = fill(settings, folder, on_step=_say)
    click.echo(f"{sum(done.rows.values()):,} rows of {len(done.rows)} tables restored and verified")
    click.echo(f"{done.control:,} entries of the control topic restored")
    if done.trouble is None:
        click.echo("the sinks go on from the offsets of the backup")
        return ExitCode.OK
    click.secho(f"the sinks were not rewound: {done.trouble.message}", fg="red")
    click.echo(done.trouble.hint)
    return ExitCode.DIFFERENCE


def _rewound(gaps: Sequence[Gap]) -> int:
    click.echo("the sinks go on behind what the tables hold")
    for gap in gaps:
        click.secho(f"left out, deleted in Kafka: {gap}", fg="red")
    return ExitCode.DIFFERENCE if gaps else ExitCode.OK


def _say(step: str) -> None:
    click.echo(step, err=True)


def _settings() -> Settings:
    from cli.endpoints import effective_settings

    return effective_settings(Settings.from_env(os.environ))
