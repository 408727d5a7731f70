"""`sluice send`: options to events, events through the door, fates to a report and an exit code."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import get_args

import click

from cli.endpoints import effective_settings
from cli.send import report, source
from cli.send.door import Door
from cli.send.fate import Fate
from cli.send.rows import Rows
from cli.send.source import Outgoing
from cli.send.tracking import Tracker
from cli.tail.follow import Follower
from collector.contract import ConsentState, EventType
from core.errors import ConfigError, InputError, UsageError
from core.ids import RandomIds
from core.settings import Settings
from schemas import publishing

_UNLIMITED = 1 << 30


@click.command()
@click.argument("file", required=False, metavar="[FILE|-]")
@click.option("--json-inline", default="", metavar="JSON", help="The event, or an array of events, itself.")
@click.option("--event", default="", help="Make one event: page_view, identity, or the name of a custom event.")
@click.option("--url", default="", help="With --event: its url.")
@click.option("--visitor", default="", help="With --event: its visitor_id.")
@click.option("--session", default="", help="With --event: its session_id.")
@click.option("--id", "event_id", default="", help="With --event: its event_id. Default: a random one.")
@click.option("--property", "properties", multiple=True, metavar="KEY=VALUE", help="With --event; may be repeated.")
@click.option("--consent", type=click.Choice(get_args(ConsentState)), default="granted", help="With --event.")
@click.option("--collector", default="", metavar="URL", help="Collector. Default: the running stack's.")
@click.option("--key-file", type=click.Path(path_type=Path), help="File with the tracking key. Default: the stack's.")
@click.option("--no-wait", is_flag=True, help="End with the collector's verdicts.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=15.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for outcomes and rows.",
)
@click.option("--allow-duplicate", is_flag=True, help="Exit 0 also where an event was there before.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object an event and line.")
def send(  # noqa: PLR0913 (one argument an option: click's way)
    *,
    file: str | None,
    json_inline: str,
    event: str,
    url: str,
    visitor: str,
    session: str,
    event_id: str,
    properties: tuple[str, ...],
    consent: str,
    collector: str,
    key_file: Path | None,
    no_wait: bool,
    timeout: float,
    allow_duplicate: bool,
    as_json: bool,
) -> int:
    """Send events to the running stack and tell what became of each, up to its row in ClickHouse.

    FILE holds one event, a JSON array or JSON lines; `-` is standard input. An event without an event_id gets one.
    Exits 0 if all are stored, 1 if any was refused or a duplicate, 69 if something does not answer in time.
    """
    made = {"event_id": event_id, "url": url, "visitor_id": visitor, "session_id": session}
    if not event and (properties or any(made.values())):
        raise UsageError("--url, --visitor, --session, --id and --property need --event")
    if sum(map(bool, (file, json_inline, event))) != 1:
        raise UsageError("give one of FILE, --json-inline and --event", hint="`sluice send --help` shows how.")
    if event:
        fields = _named(event) | made | {"consent_state": consent}
        outgoing = source.read(source.composed(fields, properties=properties), name="--event", ids=RandomIds())
    elif json_inline:
        outgoing = source.read(json_inline.encode(errors="surrogateescape"), name="--json-inline", ids=RandomIds())
    else:
        outgoing = source.read(_content(str(file)), name=str(file), ids=RandomIds())
    settings = effective_settings(Settings.from_env(os.environ))
    key = _key(key_file) if key_file else settings.bootstrap_key
    if not key or (collector and not key_file and collector.rstrip("/") != settings.collector_url.rstrip("/")):
        # The stack's key opens the stack; it is not handed to whoever answers elsewhere.
        raise ConfigError("no tracking key for this collector", hint="Give the file of one with --key-file.")
    door = Door(collector or settings.collector_url, key=key)
    tenant = settings.bootstrap_tenant if not key_file else ""
    fates = (
        _fates(outgoing, door, deadline=time.monotonic() + timeout, waited=False)
        if no_wait
        else _followed(outgoing, door, settings, tenant=tenant, timeout_s=timeout)
    )
    for line in map(report.as_json, fates) if as_json else report.as_text(fates, width=_width()):
        click.echo(line, color=False if "NO_COLOR" in os.environ else None)
    return report.exit_code(fates, allow_duplicate=allow_duplicate)


def _width() -> int:
    # One cell stays free: some terminals go to the next line when the last one is written to.
    return shutil.get_terminal_size().columns - 1 if sys.stdout.isatty() else _UNLIMITED


def _followed(outgoing: list[Outgoing], door: Door, settings: Settings, *, tenant: str, timeout_s: float) -> list[Fate]:
    publishing.install(settings)
    rows = Rows(settings)
    follower = Follower(settings, name="send", on_broker=_tell)
    try:
        started = time.monotonic()
        fates = _fates(outgoing, door, deadline=started + timeout_s, waited=True)
        tracker = Tracker(fates, tenant=tenant, started=started)
        tracker.wait(follower, rows, deadline=started + timeout_s)
    finally:
        follower.close()
    if tracker.trouble:
        click.echo(f"rows could not be looked up: {tracker.trouble}", err=True)
    return fates


def _fates(outgoing: list[Outgoing], door: Door, *, deadline: float, waited: bool) -> list[Fate]:
    verdicts = door.send([each.body for each in outgoing], deadline=deadline)
    pairs = zip(outgoing, verdicts, strict=True)
    return [Fate(at, each, verdict, waited) for at, (each, verdict) in enumerate(pairs)]


def _named(event: str) -> dict[str, str]:
    if event in get_args(EventType) and event != "custom_event":
        return {"event_type": event}
    return {"event_type": "custom_event", "name": event}


def _content(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error


def _key(path: Path) -> str:
    try:
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the key file {path} cannot be read: {error}") from error
    if not (key.isascii() and key.isprintable() and key):
        raise ConfigError(f"the key file {path} holds no key")
    return key


def _tell(back: bool) -> None:  # noqa: FBT001 (told by a flag's value)
    click.echo("Kafka is back." if back else "Kafka does not answer; waiting for it …", err=True)
