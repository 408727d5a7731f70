"""`sluice schemas new SUBJECT`: the draft of an event, or of its next version."""

from __future__ import annotations

import re
from pathlib import Path

import click

from cli.schemas.folder import folder_option, shown, writable
from core.errors import UsageError
from schemas.registry import registry_at
from schemas.release import path_of, write
from schemas.template import first_version, next_version

_SUBJECT = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", re.ASCII)


@click.command()
@click.argument("subject")
@folder_option
def new(*, subject: str, folder: Path | None) -> None:
    """Draft the event SUBJECT, or its next version if it exists. A subject that ends in `_context` is a context.

    A draft changes nothing for events that are sent until it is released.

    \b
    Example:
      sluice schemas new trial_started
    """
    if not _SUBJECT.fullmatch(subject):
        raise UsageError(
            f"{subject!r} is no name for an event", hint="Lower case, words joined by _, e.g. trial_started."
        )
    folder = writable(folder)
    registry = registry_at(folder, drafts=True)
    versions = registry.versions(subject)
    if not versions:
        version, source = 1, first_version(subject, "context" if subject.endswith("_context") else "event")
        task = f"Write what stands behind {click.style('TODO', bold=True)}, and the fields that the event needs."
    else:
        newest = registry.latest(subject)
        if newest.kind == "record" and not newest.path.is_relative_to(folder):
            raise UsageError(f"{subject} is a record of Sluice itself")
        if newest.draft:
            raise UsageError(f"{newest.label} is a draft already", hint=f"Edit {shown(newest.path)}.")
        version, source = newest.version + 1, next_version(newest.source)
        task = f"Make the change. Version {newest.version} stays as it is: it was released."
    path = path_of(folder, subject, version)
    write(path, source)
    click.echo(f"{shown(path)}: draft of {subject}:{version}")
    click.echo(task)
    click.echo("Next:")
    click.echo(f"  sluice schemas check {subject}")
    click.echo(f"  sluice schemas sample {subject}")
    click.echo(f"  sluice schemas release {subject}")
