"""`sluice keys`: the group of commands on tracking keys, each imported when it is called."""

from __future__ import annotations

import click

from cli.lazy import LazyGroup

_COMMANDS = {
    "create": ("cli.keys.change", "create", "Make a key and show it, once."),
    "list": ("cli.keys.look", "list_command", "List keys, the newest first."),
    "show": ("cli.keys.look", "show", "Show one key."),
    "rotate": ("cli.keys.change", "rotate", "Replace a key; for a while both work."),
    "revoke": ("cli.keys.change", "revoke", "End a key at once and for good."),
    "config": ("cli.keys.look", "config", "Print what a client needs to use a key."),
}


@click.group("keys", cls=LazyGroup, lazy=_COMMANDS)
def keys() -> None:
    """Tracking keys: make, list, rotate and revoke them.

    Talks to the collector of the running stack, or to the one that SLUICE_COLLECTOR_URL names, with the admin token of
    the state folder or of SLUICE_ADMIN_TOKEN.
    """
