"""`sluice dlq`: the group of commands, each imported when it is called."""

from __future__ import annotations

import click

from cli.lazy import LazyGroup

_COMMANDS = {
    "top": ("cli.dlq.look", "top", "Rank causes of dead letters."),
    "show": ("cli.dlq.look", "show", "Show dead letters of one cause, bytes and faults."),
    "fix": ("cli.dlq.rules", "fix", "Write a repair rule for a cause, as tried on samples."),
    "preview": ("cli.dlq.rules", "preview", "Plan a replay with a rule that is not in force."),
    "release": ("cli.dlq.rules", "release", "Put a rule in force, for live events and replays."),
    "rules": ("cli.dlq.rules", "rules", "List the rules in force."),
    "retire": ("cli.dlq.rules", "retire", "Take a rule out of force."),
}


@click.group("dlq", cls=LazyGroup, lazy=_COMMANDS)
def dlq() -> None:
    """Dead letters: find the cause, mend it by a rule, and bring the events in by a replay."""
