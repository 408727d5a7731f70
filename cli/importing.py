"""`sluice import …`: the group of importers."""

from __future__ import annotations

import click


@click.group("import")
def import_group() -> None:
    """Import historic events through the collector. Running an import again adds nothing."""


def _add_commands() -> None:
    from cli.importer.command import access_log, events

    import_group.add_command(access_log)
    import_group.add_command(events)


_add_commands()
