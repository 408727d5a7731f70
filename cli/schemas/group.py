"""`sluice schemas`: the group of commands on contracts, each imported when it is called."""

from __future__ import annotations

import importlib

import click

# command → (module, attribute, one line for --help)
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


class _LazyGroup(click.Group):
    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = _COMMANDS.get(cmd_name)
        if found is None:
            return None
        module, attribute, _ = found
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in _COMMANDS.items()])


@click.group("schemas", cls=_LazyGroup)
def schemas() -> None:
    """Contracts of events: list, draft, check, release and try them out.

    All commands work on the folder that SLUICE_SCHEMAS_DIR or --folder names, else on the starter plan.
    """
