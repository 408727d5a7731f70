"""`sluice dlq fix`, `preview`, `release`, `rules` and `retire`."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from cli.replay import words
from cli.replay.context import Context, bar
from cli.tail.safe_text import shown
from core import control
from core.clock import SystemClock
from core.errors import ExitCode, InputError

_SAMPLES = 200


@click.command()
@click.argument("fingerprint")
@click.option("--name", default="", help="Name of the rule; default: made of event and fingerprint.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("repairs"),
    show_default=True,
    help="Folder of rules; the file is NAME/VERSION.json in it.",
)
def fix(*, fingerprint: str, name: str, folder: Path) -> int:
    """Try steps on dead letters of FINGERPRINT and write the rule that mends most of them.

    Nothing is in force by that: read the rule, `preview` it, then `release` it.
    """
    from replay import triage
    from replay.suggesting import suggest
    from schemas import repairs

    context = Context()
    found = triage.samples(context.server, fingerprint, limit=_SAMPLES)
    event = found[0].event
    name = name or f"{event.replace('_', '-')}-{fingerprint[:8]}"
    made = suggest(name, event, triage.trial_samples(found), context.registry)
    if made is None:
        click.echo(f"nothing that was tried mends these {len(found)} dead letters of {shown(event)}", err=True)
        click.echo("`sluice dlq show` has their faults; docs/replay.md says what a rule can do", err=True)
        return ExitCode.DIFFERENCE
    versions = [int(path.stem) for path in (folder / name).glob("*.json") if path.stem.isdecimal()]
    rule = msgspec.structs.replace(made.rule, version=max(versions, default=0) + 1, doc=f"Cause {fingerprint}.")
    path = folder / name / f"{rule.version}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(repairs.encode(repairs.decode(msgspec.json.encode(rule))) + b"\n")
    click.echo(f"{path}: mends {made.mended} of {made.samples} samples")
    click.echo(path.read_text(encoding="utf-8"), nl=False)
    click.echo(f"next: sluice dlq preview {path} --from 7d")
    return ExitCode.OK


@click.command()
@click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--from", "begin", default="7d", show_default=True, metavar="TIME", help="Begin of the window by arrival."
)
@click.option("--to", "end", default="now", show_default=True, metavar="TIME", help="End of the window, not included.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def preview(*, path: Path, begin: str, end: str, as_json: bool) -> None:
    """Plan a replay of the event of FILE as if its rule were in force. The plan is a shadow: it cannot be run."""
    from replay.planning import Options, Planner
    from replay.selection import Selection, parse_moment
    from schemas import repairs

    rule = repairs.decode(path.read_bytes())
    context = Context()
    now_ms = SystemClock().now_ms()
    selection = Selection(
        from_ms=parse_moment(begin, now_ms=now_ms),
        to_ms=parse_moment(end, now_ms=now_ms) if end != "now" else now_ms + 1,
        event=rule.event,
    )
    with bar(quiet=as_json) as progress:
        planner = Planner(
            context.settings,
            context.server,
            context.registry,
            rules=[*context.rules, rule],
            suppressed=context.suppressed,
            progress=progress,
        )
        plan = planner.plan(selection, Options(shadow=True))
    click.echo(msgspec.json.encode(plan).decode() if as_json else words.of_plan(plan))


@click.command()
@click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def release(*, path: Path) -> None:
    """Put the rule of FILE in force: for live events from the next batch on, and for every plan made from now on."""
    from schemas import repairs

    rule = repairs.decode(path.read_bytes())
    context = Context()
    if rule.event not in context.registry.subjects("event"):
        raise InputError(f"rule {rule.label} is for {rule.event!r}, which has no contract")
    known = {each.name: each for each in context.rules}.get(rule.name)
    if known is not None and known.version >= rule.version and known != rule:
        raise InputError(f"{known.label} is in force", hint=f"Give the rule version {known.version + 1}.")
    control.put(context.settings, {rule.key: msgspec.json.encode(rule)})
    click.echo(f"{rule.label} is in force; dead letters of before: sluice replay plan --event {rule.event} --from 7d")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a rule.")
def rules(*, as_json: bool) -> None:
    """List the rules in force."""
    found = Context().rules
    for rule in found:
        if as_json:
            click.echo(msgspec.json.encode(rule).decode())
        else:
            steps = "; ".join(f"{type(step).__name__.lower()} {step.path}" for step in rule.steps)
            click.echo(f"{rule.label}  {shown(rule.event)}  {steps}  {shown(rule.doc)}".rstrip())
    if not found and not as_json:
        click.echo("no rules")


@click.command()
@click.argument("name")
def retire(*, name: str) -> None:
    """Take the rule NAME out of force. What it repaired stays."""
    context = Context()
    rule = {each.name: each for each in context.rules}.get(name)
    if rule is None:
        raise InputError(f"no rule {name!r} is in force", hint="`sluice dlq rules` lists them.")
    control.put(context.settings, {rule.key: None})
    click.echo(f"{rule.label} is retired")
