"""`sluice status`: how a running stack is doing, from another terminal or a script."""

from __future__ import annotations

import os

import click
import msgspec
from rich.console import Console
from rich.text import Text

from cli.up import document
from cli.up.document import Found
from cli.up.view import render
from cli.up.words import span
from core.clock import SystemClock
from core.errors import ExitCode
from core.settings import Settings

_PIPE_WIDTH = 80


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(*, as_json: bool) -> int:
    """Show processes, addresses, lag and rows of the running stack.

    Exits 0 when it is healthy, 1 when it is degraded, starting or draining, 69 when none is running.
    """
    folder = Settings.from_env(os.environ).state_dir.absolute()
    found = document.find(folder)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(as_object(found, str(folder)))).decode())
    elif found.condition in {"live", "silent"} and found.snapshot is not None:
        console = Console(highlight=False)
        width = console.width if console.is_terminal else _PIPE_WIDTH
        for line in render(found.snapshot, width=width, keys=False):
            console.print(line, soft_wrap=True)
        if found.condition == "silent":
            console.print(Text(f"! {_words(found, str(folder))}", style="red"), soft_wrap=True)
    else:
        click.echo(_words(found, str(folder)), err=True)
        if found.condition == "none":
            click.echo("`sluice up` starts a stack; SLUICE_STATE_DIR names another folder.", err=True)
    return exit_code(found)


def exit_code(found: Found) -> ExitCode:
    if found.condition == "none":
        return ExitCode.UNAVAILABLE
    healthy = found.condition == "live" and found.snapshot is not None and found.snapshot.health == "healthy"
    return ExitCode.OK if healthy else ExitCode.DIFFERENCE


def as_object(found: Found, folder: str) -> dict[str, object]:
    """The status document and whether it can be believed. Without a running stack there is none in it."""
    head: dict[str, object] = {"running": found.condition != "none", "condition": found.condition, "pid": found.pid}
    if found.condition in {"live", "silent"} and found.snapshot is not None:
        return head | document.as_json(found.snapshot) | ({"health": "degraded"} if found.condition == "silent" else {})
    return head | {"health": None, "state_dir": folder, "reason": _words(found, folder)}


def _words(found: Found, folder: str) -> str:
    match found.condition:
        case "none" if found.snapshot is not None:
            age = _age(found.snapshot.monotonic_s)
            return f"no stack is running in {folder}: the last one (pid {found.snapshot.pid}) ended unexpectedly{age}"
        case "none":
            return f"no stack is running in {folder}"
        case "starting":
            return f"the stack in {folder} is starting (pid {found.pid})"
        case "other":
            return f"pid {found.pid} runs in {folder}, but tells no status: it is not this version's `sluice up`"
        case _:
            return f"the stack (pid {found.pid}) has not written its status for a while: is it stopped or overloaded?"


def _age(monotonic_s: float) -> str:
    passed = SystemClock().monotonic() - monotonic_s
    return f" {span(passed)} ago" if passed >= 0 else ""  # negative: the machine was started anew since
