"""`sluice replay plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click
import msgspec

from cli.replay import words
from cli.replay.context import Context, bar
from core.clock import SystemClock
from core.errors import ExitCode


@click.command()
@click.option(
    "--from", "begin", default="", metavar="TIME", help="Begin of the window by arrival (UTC): 2026-03-01, 3d, today."
)
@click.option("--to", "end", default="now", show_default=True, metavar="TIME", help="End of the window, not included.")
@click.option("--offsets", multiple=True, metavar="P:FIRST-LAST", help="Raw offsets of one partition instead of all.")
@click.option("--tenant", default="", help="Only this tenant.")
@click.option("--event", default="", help="Only this event.")
@click.option("--version", type=int, help="Only events that named this contract version; 0: those that named none.")
@click.option("--code", default="", help="Only dead letters with this reason.")
@click.option("--fingerprint", default="", help="Only dead letters of this cause (`sluice dlq top`).")
@click.option("--event-id", "event_ids", multiple=True, help="Only this event; may be given again.")
@click.option(
    "--source",
    type=click.Choice(["auto", "kafka", "archive"]),
    default="auto",
    show_default=True,
    help="Where raw records are read.",
)
@click.option("--rate", type=click.IntRange(min=0), default=0, metavar="N", help="Read at most N records a second.")
@click.option(
    "--schemas",
    default="",
    metavar="DIR",
    help="Judge by the contracts of this folder, drafts too: a shadow run. Never applied.",
)
@click.option(
    "--fail-above",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Exit with 1 if more than this share would be refused.",
)
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the plan as a page, to attach to a ticket.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def plan(  # noqa: PLR0913 (its options)
    *,
    begin: str,
    end: str,
    offsets: tuple[str, ...],
    tenant: str,
    event: str,
    version: int | None,
    code: str,
    fingerprint: str,
    event_ids: tuple[str, ...],
    source: Literal["auto", "kafka", "archive"],
    rate: int,
    schemas: str,
    fail_above: float | None,
    page: Path | None,
    as_json: bool,
) -> int:
    """Judge a window of raw records by today's contracts and tell what would change. Nothing that is read changes.

    The plan is kept under the id that is printed; `sluice replay run` carries it out.
    """
    from replay.planning import Options, Planner
    from replay.selection import Selection, parse_moment, parse_offsets

    if not begin and not offsets:
        raise click.UsageError("name a window: --from TIME, or --offsets P:FIRST-LAST")
    now_ms = SystemClock().now_ms()
    selection = Selection(
        from_ms=parse_moment(begin, now_ms=now_ms) if begin else 0,
        to_ms=parse_moment(end, now_ms=now_ms) if end != "now" else now_ms + 1,
        offsets=parse_offsets(offsets),
        tenant=tenant,
        event=event,
        version=version,
        code=code,
        fingerprint=fingerprint,
        event_ids=event_ids,
    )
    context = Context(schemas=schemas, gives_way=True)
    with bar(quiet=as_json) as progress:
        planner = Planner(
            context.settings,
            context.server,
            context.registry,
            rules=context.rules,
            suppressed=context.suppressed,
            progress=progress,
        )
        made = planner.plan(
            selection, Options(place=None if source == "auto" else source, rate=rate, shadow=bool(schemas))
        )
    if page is not None:
        from cli.replay.page import render

        page.write_text(render(made), encoding="utf-8")
    click.echo(msgspec.json.encode(made).decode() if as_json else words.of_plan(made))
    return ExitCode.DIFFERENCE if fail_above is not None and made.refused_share * 100 > fail_above else ExitCode.OK
