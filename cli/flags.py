"""`sluice flags list` and `set`: switches of running processes, turned over the control topic."""

from __future__ import annotations

import os

import click

from cli.who import by_option
from core.flags import NAMES
from core.settings import Settings


@click.group()
def flags() -> None:
    """Switches of running processes. All are on unless somebody turned them off."""


@flags.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def list_command(*, as_json: bool) -> None:
    """List all flags, and who turned them."""
    from cli.schemas.output import console, print_json, print_plain, table
    from cli.streams.state import read_control
    from cli.tail.safe_text import shown
    from core.flags import Flags

    found = Flags()
    for key, value in read_control(_settings()).items():
        found.take(key, value)
    if as_json:
        print_json({name: found[name] for name in NAMES})
        return
    rows = table("Flag", "Is", "By", "Reason")
    for name in NAMES:
        flag = found[name]
        rows.add_row(name, "on" if flag.enabled else "off", shown(flag.by), shown(flag.reason))
    print_plain(console(), rows)


@flags.command("set")
@click.argument("name", type=click.Choice(NAMES))
@click.argument("state", type=click.Choice(["on", "off"]))
@click.option("--reason", default="", help="Why, for whoever looks later.")
@by_option
def set_command(*, name: str, state: str, reason: str, by: str) -> None:
    """Turn a flag on or off in all processes, also in those that start later. It takes a second or two.

    \b
    Example:
      sluice flags set tracking.ingest.enabled off --reason "moving house"
    """
    from core import control
    from core.beside import Beside
    from core.clock import SystemClock
    from core.flags import PREFIX, Flag, encode
    from core.topics import Topics
    from schemas import audit
    from schemas.audit import Audit
    from schemas.publishing import install

    settings = _settings()
    install(settings)
    now_ms = SystemClock().now_ms()
    told = Audit(at=now_ms, action="flag.set", actor=by, subject=name, detail={"enabled": state, "reason": reason})
    control.put(
        settings,
        {f"{PREFIX}{name}": encode(Flag(enabled=state == "on", by=by, reason=reason, at_ms=now_ms))},
        first=(Beside(Topics.named(settings.topic_prefix).audit, name.encode(), audit.encode(told)),),
    )
    click.echo(f"{name} is {state}.")


def _settings() -> Settings:
    from cli.endpoints import effective_settings

    return effective_settings(Settings.from_env(os.environ))
