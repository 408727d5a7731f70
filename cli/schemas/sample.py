"""`sluice schemas sample`: made-up properties of an event, valid or wrong by one rule."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import click

from cli.schemas.folder import chosen, find, folder_option
from cli.tail.safe_text import json_line, shown
from schemas.near_miss import near_misses
from schemas.registry import Schema, registry_at
from schemas.sample import samples

_COUNT = 3


@click.command()
@click.argument("label", metavar="SUBJECT[:VERSION]")
@click.option("--count", type=click.IntRange(1), help=f"How many. Default: {_COUNT}, of near-misses all.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed, other samples.")
@click.option("--near-miss", is_flag=True, help="Properties that break the contract, each by exactly one rule.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines that also say what each sample is.")
@folder_option
def sample(*, label: str, count: int | None, seed: int, near_miss: bool, as_json: bool, folder: Path | None) -> None:
    """Make up properties of SUBJECT: JSON lines, the same for the same seed. Drafts count too.

    \b
    Examples:
      sluice schemas sample order_completed --count 100 > orders.jsonl
      sluice schemas sample order_completed --near-miss
    """
    schema = find(registry_at(chosen(folder), drafts=True), label)
    if near_miss:
        for miss in islice(near_misses(schema.resolved, seed=seed), count):
            if as_json:
                about = {"valid": False, "code": miss.code, "path": miss.path, "what": miss.what}
                click.echo(json_line(_document(schema, about, miss.properties)))
            else:
                click.echo(f"{click.style(miss.code, bold=True)} {shown(f'{miss.path} {miss.what}')}")
                click.echo(f"  {json_line(miss.properties)}")
        return
    for properties in islice(samples(schema.resolved, seed=seed), count or _COUNT):
        click.echo(json_line(_document(schema, {"valid": True}, properties) if as_json else properties))


def _document(schema: Schema, about: dict[str, Any], properties: Any) -> dict[str, Any]:
    return {"event": schema.subject, "version": schema.version, **about, "properties": properties}
