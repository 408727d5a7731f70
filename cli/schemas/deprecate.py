"""`sluice schemas deprecate`: says of a contract that it ends, when, and what comes instead."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from cli.schemas.folder import find, folder_option, labelled, shown, writable
from cli.schemas.telling import tell_running
from schemas.registry import registry_at
from schemas.release import Deprecation, path_of
from schemas.release import deprecate as mark
from schemas.released import Released


@click.command()
@click.argument("label", metavar="SUBJECT[:VERSION]")
@click.option("--by", metavar="SUBJECT", default="", help="The event that takes its place.")
@click.option("--sunset", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="Last day it may be sent.")
@click.option(
    "--superseded-by",
    type=click.IntRange(1),
    metavar="VERSION",
    help="For a broken version: the version that judges its events from now on.",
)
@folder_option
def deprecate(*, label: str, by: str, sunset: datetime | None, superseded_by: int | None, folder: Path | None) -> None:
    """Mark a released version as deprecated, or all versions of SUBJECT.

    Its events are still taken. Only attributes of its life change, so its id stays what it is.

    \b
    Example:
      sluice schemas deprecate sign_up --by registration_completed --sunset 2027-03-31
    """
    folder = writable(folder)
    find(registry_at(folder, drafts=True), label)
    subject, version = labelled(label)
    last_day = sunset.date() if sunset else None
    _tell(folder, mark(folder, subject, version, Deprecation(by, last_day, superseded_by)))


def _tell(folder: Path, deprecated: list[Released]) -> None:
    for each in deprecated:
        click.echo(f"{each.label} is deprecated")
        click.echo(f"  Commit {shown(path_of(folder, each.subject, each.version))}.")
    tell_running(folder, deprecated)
