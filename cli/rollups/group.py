"""`sluice rollups`: the group of its commands."""

from __future__ import annotations

import click

from cli.lazy import LazyGroup

_COMMANDS = {
    "verify": ("cli.rollups.verify", "verify", "Compare every rollup with a recount of the base."),
    "rebuild": ("cli.rollups.rebuild", "rebuild_command", "Make the rollups of days anew from the base."),
}


@click.group("rollups", cls=LazyGroup, lazy=_COMMANDS)
def rollups() -> None:
    """Compare the rollups with a recount of the base, and make them whole."""
