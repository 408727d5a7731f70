"""`sluice spool`: list, check and drain the collectors' spools."""

from __future__ import annotations

import click

from cli.lazy import LazyGroup

_COMMANDS = {
    "ls": ("cli.spool.looking", "ls", "List folders, and what they owe to Kafka."),
    "verify": ("cli.spool.looking", "verify", "Read every record, and report damage."),
    "drain": ("cli.spool.draining", "drain", "Send what dead collectors left to Kafka."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def spool() -> None:
    """What collectors accepted while Kafka was away. The folder is SLUICE_SPOOL_DIR, or `spool` in the state folder."""
