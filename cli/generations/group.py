"""`sluice generations`: the group of its commands."""

from __future__ import annotations

import click

from cli.lazy import LazyGroup

_COMMANDS = {
    "list": ("cli.generations.listing", "list_command", "List days with more than their live generation."),
    "show": ("cli.generations.listing", "show", "Show what became of a day, or what a run did."),
    "publish": ("cli.generations.changes", "publish", "Show what a run staged, all days at once."),
    "rollback": ("cli.generations.changes", "rollback", "Show again what a run replaced."),
    "drop": ("cli.generations.changes", "drop", "Give up a run that is not published."),
    "prune": ("cli.generations.changes", "prune_command", "Delete generations that are out of sight."),
}


@click.group("generations", cls=LazyGroup, lazy=_COMMANDS)
def generations() -> None:
    """Generations of days: what readers see, and the runs that made it.

    A day that was never restated has one generation, 0, and is not listed.
    """
