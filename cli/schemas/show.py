"""`sluice schemas show SUBJECT`: one contract as a page for people, or what is made from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from cli.schemas.folder import chosen, find, folder_option, shown
from cli.schemas.listing import status
from cli.schemas.output import console, print_json, print_plain, table
from core.errors import UsageError
from schemas.catalog.fields import FieldRow, rows
from schemas.codegen.compiled import compile_record
from schemas.codegen.views import view_sql
from schemas.compatibility.types import parse_record
from schemas.registry import Registry, Schema, registry_at

_UNKNOWN = {
    "keep": "properties that are not declared are kept apart and reported",
    "reject": "properties that are not declared make the event invalid",
    "open": "any property is welcome",
}
_MARGIN = 2


@click.command()
@click.argument("label", metavar="SUBJECT[:VERSION]")
@click.option("--code", is_flag=True, help="The validator and encoder that are generated from it.")
@click.option("--sql", is_flag=True, help="The typed view of its events in ClickHouse.")
@click.option("--avro", is_flag=True, help="The schema file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@folder_option
def show(*, label: str, code: bool, sql: bool, avro: bool, as_json: bool, folder: Path | None) -> None:
    """Show what SUBJECT means, its fields, examples and versions. Without a version the newest, drafts too.

    \b
    Examples:
      sluice schemas show order_completed
      sluice schemas show order_completed --sql
    """
    if sum((code, sql, avro, as_json)) > 1:
        raise UsageError("--code, --sql, --avro and --json exclude each other")
    registry = registry_at(chosen(folder), drafts=True)
    schema = find(registry, label)
    if avro:
        click.echo(schema.path.read_text(encoding="utf-8"), nl=False)
    elif code:
        click.echo(compile_record(schema.resolved).source)
    elif sql:
        click.echo(_sql(registry, schema))
    elif as_json:
        print_json(_document(registry, schema))
    else:
        _page(registry, schema, console())


def _sql(registry: Registry, schema: Schema) -> str:
    if schema.kind != "event":
        raise UsageError(f"{schema.subject} is no event, so it has no view")
    versions = [registry.get(schema.subject, v).resolved for v in registry.versions(schema.subject)]
    return "\n\n".join(f"{statement};" for statement in view_sql(versions[: schema.version], schema.subject))


def _page(registry: Registry, schema: Schema, to: Console) -> None:
    about = schema.source
    head = [schema.label, schema.kind, status(schema)]
    head += [] if schema.draft else [f"id {schema.id}"]
    print_plain(to, Text("  ".join(head), style="bold"))
    print_plain(to, Text(about.get("doc", "")))
    click.echo()
    facts = table("", "")
    facts.show_header = False
    for name, value in _facts(schema):
        facts.add_row(Text(name, style="dim"), Text(value))
    print_plain(to, facts)
    _fields(_rows(schema), to)
    for number, example in enumerate(about.get("examples", ()), start=1):
        click.secho(f"\nExample {number}", bold=True)
        click.echo(json.dumps(example, indent=2, ensure_ascii=False))
    click.secho("\nVersions", bold=True)
    versions = table("", "", "", "")
    versions.show_header = False
    for version in reversed(registry.versions(schema.subject)):
        each = registry.get(schema.subject, version)
        released = "" if each.draft else f"id {each.id}"
        versions.add_row(str(version), status(each), each.source.get("since", ""), released)
    print_plain(to, Padding(versions, (0, 0, 0, _MARGIN)))


def _facts(schema: Schema) -> list[tuple[str, str]]:
    about = schema.source
    references = [f"{each['subject']}:{each['version']}" for each in about.get("references", ())]
    facts = [
        ("Owner", about.get("owner", "")),
        ("Fires", about.get("fires", "")),
        ("Purpose", about.get("purpose", "")),
        ("Metrics", ", ".join(about.get("metrics", ()))),
        ("Uses", ", ".join(references)),
        ("Else", _UNKNOWN.get(about.get("unknown", "keep"), "") if schema.kind != "record" else ""),
        ("Since", about.get("since", "")),
        ("Replaced by", about.get("deprecatedBy", "")),
        ("Judged by", f"version {about['supersededBy']}" if "supersededBy" in about else ""),
        ("Ends on", about.get("sunset", "")),
        ("File", shown(schema.path)),
    ]
    return [(name, str(value)) for name, value in facts if value]


def _rows(schema: Schema) -> list[FieldRow]:
    return rows(parse_record(schema.resolved), {})


def _fields(fields: list[FieldRow], to: Console) -> None:
    if not fields:
        return
    click.echo()
    listed = table("Field", "Type", "PII", "Meaning")
    for field in fields:
        kind = "; ".join(filter(None, [field.type, *field.bounds, field.unit, _allowed(field)]))
        listed.add_row(
            Text("  " * field.depth + field.name + (" *" if field.required else "")),
            Text(kind),
            Text(field.pii, style="" if field.pii in ("none", "") else "yellow"),
            Text(field.doc),
        )
    print_plain(to, listed)
    if any(field.required for field in fields):
        click.echo("* required")


def _allowed(field: FieldRow) -> str:
    return f"one of {', '.join(field.allowed)}" if field.allowed else ""


def _document(registry: Registry, schema: Schema) -> dict[str, Any]:
    about = schema.source
    return {
        "subject": schema.subject,
        "version": schema.version,
        "kind": schema.kind,
        "id": None if schema.draft else schema.id,
        "guid": str(schema.guid),
        "status": status(schema),
        **{key: about.get(key) for key in ("doc", "owner", "fires", "purpose", "metrics", "unknown", "references")},
        "since": about.get("since"),
        "sunset": about.get("sunset"),
        "deprecated_by": about.get("deprecatedBy"),
        "superseded_by": about.get("supersededBy"),
        "fields": [
            {
                "path": field.path,
                "type": field.type,
                "required": field.required,
                "pii": field.pii or None,
                "unit": field.unit or None,
                "bounds": list(field.bounds),
                "allowed": list(field.allowed),
                "doc": field.doc,
                "examples": list(field.examples),
            }
            for field in _rows(schema)
        ],
        "examples": about.get("examples", []),
        "versions": registry.versions(schema.subject),
        "file": shown(schema.path),
    }
