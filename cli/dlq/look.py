"""`sluice dlq top` and `show`."""

from __future__ import annotations

import click
import msgspec

from cli.replay.context import Context
from cli.tail.safe_text import shown
from core.clock import SystemClock
from replay.selection import moment, parse_moment


@click.command()
@click.option("--since", default="7d", show_default=True, metavar="TIME", help="By arrival: 2026-03-01, 3d, today.")
@click.option("--tenant", default="", help="Only this tenant.")
@click.option("--event", default="", help="Only this event.")
@click.option("--code", default="", help="Only this reason.")
@click.option("--limit", type=click.IntRange(1, 1000), default=10, show_default=True, help="Most causes.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a cause.")
def top(*, since: str, tenant: str, event: str, code: str, limit: int, as_json: bool) -> None:
    """Rank causes of dead letters by number: contract, reason, share, when, which tenants and apps."""
    from replay import triage

    since_ms = parse_moment(since, now_ms=SystemClock().now_ms())
    found = triage.top(Context().server, since_ms=since_ms, tenant=tenant, event=event, code=code, limit=limit)
    if as_json:
        for cause in found:
            click.echo(msgspec.json.encode(cause).decode())
        return
    if not found:
        click.echo("no dead letters")
    for cause in found:
        click.echo(
            f"{cause.records:>10,}  {cause.fingerprint}  {shown(f'{cause.event}:{cause.version}')}  {cause.code} "
            f"{shown(cause.path)}: expected {shown(cause.expected)}"
        )
        click.echo(
            f"{'':>10}  {cause.share:.2%} of its events, {moment(cause.first_ms)} to {moment(cause.last_ms)}; "
            f"tenants {_counted(cause.tenants)}" + (f"; apps {_counted(cause.apps)}" if cause.apps else "")
        )


@click.command()
@click.argument("fingerprint")
@click.option("--limit", type=click.IntRange(1, 1000), default=3, show_default=True, help="Most dead letters.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a dead letter; `raw` is hexadecimal.")
def show(*, fingerprint: str, limit: int, as_json: bool) -> None:
    """Show the latest dead letters of FINGERPRINT with their bytes: they may be personal."""
    from replay import triage

    for each in triage.samples(Context().server, fingerprint, limit=limit):
        if as_json:
            click.echo(msgspec.json.encode(each).decode())
            continue
        click.echo(
            f"partition {each.partition} offset {each.offset}  {moment(each.arrival_ms)}  tenant {shown(each.tenant)}  "
            f"{shown(f'{each.event}:{each.version}')}"
        )
        for code, path, expected, got in each.faults:
            click.echo(
                f"  {code} at {shown(path)}: expected {shown(expected)}" + (f", got {shown(got)}" if got else "")
            )
        click.echo(f"  {shown(each.payload) if each.payload else each.raw}")


def _counted(values: list[tuple[str, int]]) -> str:
    return ", ".join(f"{shown(value) or '(none)'} {count:,}" for value, count in values)
