"""`sluice schemas init FOLDER`: the starter plan as a beginning of one's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from cli.schemas.folder import shown
from core.errors import UsageError
from schemas import lock
from schemas.registry import BUNDLED, bundled
from schemas.release import path_of


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def init(*, folder: Path) -> None:
    """Copy the events and contexts of the starter plan into FOLDER, which should be under version control.

    The records of Sluice itself are not copied: they always come with the release.

    \b
    Example:
      sluice schemas init contracts
      export SLUICE_SCHEMAS_DIR=contracts
    """
    if (folder / "avro").exists() or (folder / lock.FILE).exists():
        raise UsageError(f"{folder} has contracts in it already", hint="Name another folder, or use this one as it is.")
    plan = [schema for schema in bundled().schemas() if schema.kind != "record"]
    locked = lock.read(BUNDLED)
    copied: lock.Lock = {}
    for schema in plan:
        path = path_of(folder, schema.subject, schema.version)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(schema.path, path)
        copied.setdefault(schema.subject, {})[schema.version] = locked[schema.subject][schema.version]
    # Last: without a lock nothing is released, so a copy that was interrupted never looks complete.
    lock.write(folder, copied)
    events = sum(schema.kind == "event" for schema in plan)
    click.echo(f"{shown(folder)}: {events} events and {len(plan) - events} contexts")
    click.echo("Next:")
    click.echo(f"  export SLUICE_SCHEMAS_DIR={folder}")
    click.echo("  sluice schemas list")
    click.echo("  sluice schemas new trial_started")
