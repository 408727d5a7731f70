"""`sluice replay run`, `rollback` and `cancel`."""

from __future__ import annotations

import click
import msgspec

from cli.replay import words
from cli.replay.context import Context, bar
from core.errors import InputError


@click.command()
@click.argument("plan")
@click.option("--why", required=True, help="The reason, kept with the run.")
@click.option("--rate", type=click.IntRange(min=0), default=0, metavar="N", help="Restate at most N rows a second.")
@click.option("--remove-all", is_flag=True, help="Also where an event of PLAN would have no row any more.")
@click.option("--json", "as_json", is_flag=True, help="Print the run as JSON.")
def run(*, plan: str, why: str, rate: int, remove_all: bool, as_json: bool) -> None:
    """Carry out PLAN: each day it touches is written anew beside the old one, verified, and all are shown at once.

    Killed or interrupted, nothing of it is visible; the same command goes on with it.
    """
    from replay.notice import announcer, tell
    from replay.running import Runner
    from sinks.generations.handover import SinkPlans

    context = Context(gives_way=True)
    wanted = context.plans.plan(plan)
    sinks = SinkPlans(context.settings)
    with bar(quiet=as_json) as progress:
        runner = Runner(
            context.server,
            contracts=context.digest,
            plans=sinks,
            suppressed=context.suppressed,
            announce=announcer(context.settings, context.server, sinks),
            rate=rate,
            progress=progress,
        )
        done = runner.run(wanted, who=context.who, why=why, remove_all=remove_all)
    tell(context.settings, done)
    click.echo(msgspec.json.encode(done).decode() if as_json else words.of_run(done))


@click.command()
@click.argument("name", metavar="RUN")
@click.option("--why", required=True, help="The reason, kept with the run.")
@click.option("--json", "as_json", is_flag=True, help="Print the run as JSON.")
def rollback(*, name: str, why: str, as_json: bool) -> None:
    """Show again what RUN replaced, by one insert. Refused where a later run built on it."""
    from replay.notice import tell
    from replay.running import rollback as roll_back

    context = Context()
    done = roll_back(context.server, context.plans.run(name), suppressed=context.suppressed, who=context.who, why=why)
    tell(context.settings, done)
    click.echo(msgspec.json.encode(done).decode() if as_json else words.of_run(done))


@click.command()
@click.argument("name", metavar="RUN")
@click.option("--why", required=True, help="The reason, kept with the run.")
def cancel(*, name: str, why: str) -> None:
    """Ask RUN to stop. It gives up before it publishes; one that nobody works on is given up at once."""
    from replay.running import cancel as cancel_run

    context = Context()
    found = context.plans.run(name)
    if found.state in {"published", "rolled_back", "cancelled"}:
        raise InputError(
            f"the run {name} is {found.state}", hint="`sluice replay rollback` takes a published one back."
        )
    given_up = cancel_run(context.server, found, who=context.who, why=why)
    click.echo(f"{name} is given up" if given_up else f"{name} is asked to stop; it gives up before it publishes")
