"""`sluice streams status`: paused or not and why, alerts that stand, what waits."""

from __future__ import annotations

import os

import click

from core.errors import ExitCode
from core.settings import Settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(*, as_json: bool) -> int:
    """Show pause, alerts on dead letters, and lag.

    Exits 0 when they run without an alert, 1 when they are paused or an alert stands, 69 when nothing runs.
    """
    from cli.endpoints import effective_settings
    from cli.streams import report, state
    from cli.tail.safe_text import json_line

    found = state.read(effective_settings(Settings.from_env(os.environ)))
    if as_json:
        click.echo(json_line(report.as_object(found)))
    else:
        for line in report.lines(found):
            click.echo(line)
    return ExitCode.DIFFERENCE if found.pause.paused or found.alerts else ExitCode.OK
