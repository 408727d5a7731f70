"""`sluice audit`: the group of its commands."""

from __future__ import annotations

import click

from cli.lazy import LazyGroup

_COMMANDS = {"duplicates": ("cli.audit.duplicates", "duplicates", "List event ids that have several rows.")}


@click.group("audit", cls=LazyGroup, lazy=_COMMANDS)
def audit() -> None:
    """Look for what should not be there."""
