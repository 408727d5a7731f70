"""`sluice schemas`: the group of commands on contracts, each imported when it is called."""

from __future__ import annotations

import click

from cli.lazy import LazyGroup

_COMMANDS = {
    "list": ("cli.schemas.listing", "list_command", "List events, contexts and records."),
    "show": ("cli.schemas.show", "show", "Show one contract: meaning, fields, examples, versions."),
    "init": ("cli.schemas.init", "init", "Copy the starter plan into a folder of your own."),
    "new": ("cli.schemas.new", "new", "Draft a new event, or the next version of one."),
    "check": ("cli.schemas.check", "check", "Check files, compatibility and the tracking plan."),
    "diff": ("cli.schemas.diff", "diff", "Tell what changed between two versions."),
    "release": ("cli.schemas.release", "release", "Check drafts and release them."),
    "deprecate": ("cli.schemas.deprecate", "deprecate", "Say that a version or an event will end."),
    "validate": ("cli.schemas.validate", "validate", "Judge events of a file by their contracts."),
    "sample": ("cli.schemas.sample", "sample", "Make up valid events, or events that just fail."),
    "docs": ("cli.schemas.docs", "docs", "Write the catalog as a static site."),
    "publish": ("cli.schemas.publish", "publish", "Register released schemas in an external Schema Registry."),
    "serve": ("cli.schemas.serve", "serve", "Serve schemas to Schema Registry clients."),
}


@click.group("schemas", cls=LazyGroup, lazy=_COMMANDS)
def schemas() -> None:
    """Contracts of events: list, draft, check, release and try them out.

    All commands work on the folder that SLUICE_SCHEMAS_DIR or --folder names, else on the starter plan.
    """
