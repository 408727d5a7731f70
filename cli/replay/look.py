"""`sluice replay list`, `show`, `diff`, `coverage` and `prune`."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from cli.replay import words
from cli.replay.context import Context
from core.clock import SystemClock

_DAY_MS = 86_400_000


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def list_command(*, as_json: bool) -> None:
    """List plans and what became of them, oldest first."""
    context = Context()
    plans, runs = context.plans.plans(), context.plans.runs()
    if as_json:
        click.echo(msgspec.json.encode({"plans": plans, "runs": runs}).decode())
        return
    click.echo(words.of_all(plans, runs))


@click.command()
@click.argument("name", metavar="PLAN_OR_RUN")
@click.option("--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write a plan as a page.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def show(*, name: str, page: Path | None, as_json: bool) -> None:
    """Show a plan or a run as it was printed when it was made."""
    from replay.running import RUN_PREFIX

    context = Context()
    if name.startswith(RUN_PREFIX):
        run = context.plans.run(name)
        click.echo(msgspec.json.encode(run).decode() if as_json else words.of_run(run))
        return
    plan = context.plans.plan(name)
    if page is not None:
        from cli.replay.page import render

        page.write_text(render(plan), encoding="utf-8")
    click.echo(msgspec.json.encode(plan).decode() if as_json else words.of_plan(plan))


@click.command()
@click.argument("plan")
@click.option("--field", default="", help="Only rows that differ in this column.")
@click.option("--limit", type=click.IntRange(1, 1000), default=10, show_default=True, help="Most rows.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a row.")
def diff(*, plan: str, field: str, limit: int, as_json: bool) -> None:
    """Show rows that PLAN changes, old beside new, values and all: they may be personal."""
    from replay.sampling import differing_rows
    from replay.scratch import Scratch

    context = Context()
    found = context.plans.plan(plan)
    rows = differing_rows(context.server, Scratch(context.server, found.id), field=field, limit=limit)
    if not rows:
        click.echo("no row that stands becomes another", err=True)
    for row in rows:
        click.echo(msgspec.json.encode(row).decode() if as_json else words.of_row(row))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def coverage(*, as_json: bool) -> None:
    """Tell for each raw partition what Kafka and the archive keep, and what neither does."""
    from replay import coverage as kept
    from replay.selection import Selection

    context = Context()
    everything = Selection(from_ms=0, to_ms=SystemClock().now_ms() + _DAY_MS)
    in_kafka = kept.look_in_kafka(context.settings, everything)
    archived = kept.look_in_archive(context.settings, context.server, everything)
    covered = kept.cover(
        everything, in_kafka=in_kafka, archived=archived, through={n: k.high - 1 for n, k in in_kafka.items()}
    )
    click.echo(
        msgspec.json.encode(words.kept(in_kafka, archived, covered.gaps)).decode()
        if as_json
        else words.of_coverage(in_kafka, archived, covered.gaps)
    )


@click.command()
@click.option("--older-than", "days", type=click.IntRange(0), default=7, show_default=True, metavar="DAYS")
def prune(*, days: int) -> None:
    """Delete plans older than DAYS with their working tables, and what killed ones left. What runs restated stays."""
    from replay import pruning

    context = Context()
    click.echo(words.of_pruning(pruning.prune(context.server, before_ms=SystemClock().now_ms() - days * _DAY_MS)))
