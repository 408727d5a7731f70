"""`sluice schemas list`: the newest version of each event, context and record."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click
from rich.text import Text

from cli.schemas.folder import chosen, folder_option
from cli.schemas.output import console, print_json, print_plain, table
from schemas.registry import Kind, Registry, Schema, registry_at

_STYLES = {"stable": "green", "draft": "yellow", "deprecated": "red"}


@click.command("list")
@click.option("--kind", type=click.Choice(get_args(Kind)), help="Only these.")
@click.option("--drafts", is_flag=True, help="Also what is not released yet.")
@folder_option
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def list_command(*, kind: Kind | None, drafts: bool, folder: Path | None, as_json: bool) -> None:
    """List events, contexts and records, each with its newest version.

    \b
    Example:
      sluice schemas list --kind event
    """
    registry = registry_at(chosen(folder), drafts=drafts)
    newest = [registry.latest(subject) for subject in registry.subjects(kind)]
    newest.sort(key=lambda schema: (get_args(Kind).index(schema.kind), schema.subject))
    if as_json:
        print_json([_document(registry, schema) for schema in newest])
        return
    shown = table("Subject", "Kind", "Version", "Status", "Owner", "Fields", "Since", "Sunset")
    for column in (2, 5):
        shown.columns[column].justify = "right"
    for schema in newest:
        state = status(schema)
        about = schema.source
        shown.add_row(
            schema.subject,
            schema.kind,
            str(schema.version),
            Text(state, style=_STYLES.get(state, "")),
            about.get("owner", ""),
            str(len(about["fields"])),
            about.get("since", ""),
            about.get("sunset", ""),
        )
    print_plain(console(), shown)


def status(schema: Schema) -> str:
    """Where it is in its life. The lock decides what is a draft, whatever the file says."""
    return "draft" if schema.draft else str(schema.source.get("status", "stable"))


def _document(registry: Registry, schema: Schema) -> dict[str, Any]:
    about = schema.source
    return {
        "subject": schema.subject,
        "kind": schema.kind,
        "version": schema.version,
        "versions": registry.versions(schema.subject),
        "id": None if schema.draft else schema.id,
        "status": status(schema),
        "owner": about.get("owner"),
        "doc": about.get("doc"),
        "fields": len(about["fields"]),
        "since": about.get("since"),
        "sunset": about.get("sunset"),
        "deprecated_by": about.get("deprecatedBy"),
    }
