"""`sluice streams pause` and `resume`: stop and continue the consuming of all stream workers."""

from __future__ import annotations

import os

import click

from cli.who import by_option
from core.settings import Settings


@click.command()
@click.option("--reason", required=True, help="Why, for whoever asks `sluice streams status`.")
@by_option
def pause(*, reason: str, by: str) -> None:
    """Stop consuming in all stream workers, also those that start later. Events wait in the raw topic."""
    from cli.endpoints import effective_settings
    from cli.streams import state
    from streams.pause import Pause

    settings = effective_settings(Settings.from_env(os.environ))
    before = state.read_pause(settings)
    if before.paused:
        click.echo("The streams are paused already; `sluice streams status` says why.")
        return
    state.write_pause(settings, Pause(paused=True, reason=reason, by=by, accepted=before.accepted))
    click.echo("The streams pause. Events wait in the raw topic until `sluice streams resume`.")


@click.command()
@by_option
def resume(*, by: str) -> None:
    """Continue after a pause or a halt.

    A contract that halted is accepted with that: what breaks it is dead-lettered, and halts no more.
    """
    from cli.endpoints import effective_settings
    from cli.streams import state
    from streams.pause import resumed

    settings = effective_settings(Settings.from_env(os.environ))
    before = state.read_pause(settings)
    # Also where they are not paused: workers that could not read an entry go by the one before.
    state.write_pause(settings, resumed(before, by=by))
    click.echo("The streams go on." if before.paused else "The streams were not paused.")
    if before.halt:
        click.echo(f"{before.halt.contract} halts no more: what breaks it is dead-lettered.")
