"""Tables and JSON on standard output: coloured on a terminal, plain and of a fixed width elsewhere."""

from __future__ import annotations

from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

# Of what is not a terminal: a page in a file or a pipe should not depend on the window it was made in.
PIPE_WIDTH = 100


def console() -> Console:
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def table(*headers: str) -> Table:
    return Table(*headers, box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))


def print_plain(to: Console, renderable: Any) -> None:
    """Without the blanks that a table puts at the end of its lines."""
    with to.capture() as captured:
        to.print(renderable)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def print_json(document: Any) -> None:
    """One document, laid out for people."""
    click.echo(msgspec.json.format(msgspec.json.encode(document)).decode())
