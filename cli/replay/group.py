"""`sluice replay`: the group of commands, each imported when it is called."""

from __future__ import annotations

import click

from cli.lazy import LazyGroup

_COMMANDS = {
    "plan": ("cli.replay.plan", "plan", "Tell what a window would become by today's contracts; changes nothing."),
    "run": ("cli.replay.run", "run", "Carry out a plan: stage, verify, publish."),
    "rollback": ("cli.replay.run", "rollback", "Show again what a run replaced."),
    "cancel": ("cli.replay.run", "cancel", "Stop a run that works elsewhere before it publishes."),
    "list": ("cli.replay.look", "list_command", "List plans and runs."),
    "show": ("cli.replay.look", "show", "Show a plan or a run."),
    "diff": ("cli.replay.look", "diff", "Show rows that a plan changes, old beside new."),
    "coverage": ("cli.replay.look", "coverage", "Tell which raw records are kept where."),
    "prune": ("cli.replay.look", "prune", "Delete the working tables of old plans."),
}


@click.group("replay", cls=LazyGroup, lazy=_COMMANDS)
def replay() -> None:
    """Put a window of events right after a contract was mended: planned first, applied once, undone if wrong."""
