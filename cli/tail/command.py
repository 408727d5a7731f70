"""`sluice tail`: options to a follower and a filter, events to lines. Ctrl-C is its normal end."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from types import FrameType

import click

from cli.endpoints import effective_settings
from cli.tail import render
from cli.tail.filters import ALL_OUTCOMES, Filter
from cli.tail.follow import Follower
from cli.tail.render import TerminalLines
from cli.tail.sighting import Sighting
from cli.tail.since import Moment
from core.settings import Settings
from schemas import publishing
from streams.records import OutcomeKind

_POLL_S = 0.2
_ONLY: dict[str, OutcomeKind] = {"curated": "curated", "dead-letter": "dead_letter", "duplicate": "duplicate"}


@click.command()
@click.option("--tenant", default="", help="Only this tenant's.")
@click.option("--event", default="", help="Only events of this contract, type or name.")
@click.option("--id", "event_id", default="", help="Only the event with this id, and its repeats.")
@click.option("--visitor", default="", help="Only this visitor's.")
@click.option("--only", multiple=True, type=click.Choice(list(_ONLY)), help="Only this outcome; may be repeated.")
@click.option("--since", type=Moment(), help="Begin in the past: 30s, 5m, 2h, 1d or a time. Default: now.")
@click.option("-n", "--number", type=click.IntRange(min=1), help="Stop after this many events.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def tail(
    *,
    tenant: str,
    event: str,
    event_id: str,
    visitor: str,
    only: tuple[str, ...],
    since: int | None,
    number: int | None,
    as_json: bool,
) -> None:
    """Show events as they become curated, dead-lettered or duplicates. Ctrl-C ends it.

    Reads beside the pipeline: nothing is consumed, nobody is slowed down. Times are UTC.
    """
    settings = effective_settings(Settings.from_env(os.environ))
    publishing.install(settings)
    outcomes = frozenset(_ONLY[word] for word in only) or ALL_OUTCOMES
    wanted = Filter(tenant, event, event_id, visitor, outcomes)
    follower = Follower(settings, name="tail", outcomes=outcomes, since_ms=since, wants=wanted.wants, on_broker=_tell)
    shown = 0
    try:
        signal.signal(signal.SIGTERM, _interrupt)
        line = _line(as_json=as_json)
        while number is None or shown < number:
            for sighting in follower.poll(_POLL_S):
                click.echo(line(sighting), color=False if "NO_COLOR" in os.environ else None)
                shown += 1
                if shown == number:
                    break
    except KeyboardInterrupt:
        # The terminal has written ^C into our line.
        start = "\n" if sys.stderr.isatty() else ""
        click.echo(f"{start}{shown} event{'' if shown == 1 else 's'} shown", err=True)
    except BrokenPipeError:
        # Whoever read us has enough; Python would complain about it once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        follower.close()


def _line(*, as_json: bool) -> Callable[[Sighting], str]:
    if as_json:
        return render.as_json
    if not sys.stdout.isatty():
        return render.as_line
    return _terminal_line


def _terminal_line(sighting: Sighting) -> str:
    # The width is asked for anew: a window is resized while we run.
    return TerminalLines(shutil.get_terminal_size().columns)(sighting)


def _tell(back: bool) -> None:  # noqa: FBT001 (told by a flag's value)
    click.echo("Kafka is back." if back else "Kafka does not answer; waiting for it …", err=True)


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
