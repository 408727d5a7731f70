"""`sluice schemas diff A B`: what changed between two versions, in sentences."""

from __future__ import annotations

import os
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from cli.schemas.folder import chosen, find, folder_option
from cli.schemas.output import print_json
from core.errors import ConfigError
from schemas import files
from schemas.diff import Change
from schemas.diff import diff as changes
from schemas.references import inline
from schemas.registry import Registry, registry_at


@click.command()
@click.argument("old", metavar="A")
@click.argument("new", metavar="B")
@folder_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def diff(*, old: str, new: str, folder: Path | None, as_json: bool) -> None:
    """Tell what changed from A to B, and what of it breaks readers or clients.

    A and B are a version (`page_view:1`), a subject (its newest version, drafts too) or the path of an .avsc file.

    \b
    Example:
      sluice schemas diff page_view:1 page_view:2
    """
    registry = registry_at(chosen(folder), drafts=True)
    found = changes(_schema(registry, old), _schema(registry, new))
    if as_json:
        print_json(_document(found))
        return
    for line in _lines(found):
        click.echo(line, color=False if "NO_COLOR" in os.environ else None)


def _schema(registry: Registry, name: str) -> dict[str, Any]:
    """Self-contained JSON of what a person calls `name`."""
    path = Path(name)
    return _from_file(registry, path) if path.suffix == ".avsc" else find(registry, name).resolved


def _from_file(registry: Registry, path: Path) -> dict[str, Any]:
    def referenced(subject: str, version: int) -> dict[str, Any]:
        found = registry.find(subject, version)
        if found is None:
            raise ConfigError(f"{path}: the reference {subject}:{version} is not there")
        return found.resolved

    return inline(files.read(path), referenced)


def _lines(found: list[Change]) -> list[str]:
    lines = []
    for group, changes_ in groupby(found, key=lambda change: change.group):
        lines.append(click.style(group.capitalize(), bold=True))
        for change in changes_:
            mark = click.style("breaking  ", fg="red") if change.is_breaking else click.style("compatible", fg="green")
            lines.append(f"  {mark}  {change.sentence}")
            lines += [f"              {reason}" for reason in change.reasons]
        lines.append("")
    breaking = sum(change.is_breaking for change in found)
    words = f"{len(found)} change{'' if len(found) == 1 else 's'}, {breaking or 'none'} breaking"
    return [*lines, click.style(words if found else "no change", bold=True)]


def _document(found: list[Change]) -> dict[str, Any]:
    return {
        "changes": [
            {
                "group": change.group,
                "path": change.path,
                "sentence": change.sentence,
                "breaking": change.is_breaking,
                "reasons": list(change.reasons),
            }
            for change in found
        ],
        "breaking": sum(change.is_breaking for change in found),
    }
