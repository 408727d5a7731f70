"""`sluice down`: stops the stack that runs on the state folder, wherever it was started."""

from __future__ import annotations

import os
import signal
import time

import click

from cli.up import document, holder
from cli.up.screens import PlainLines
from core.errors import ExitCode, StateError, UnavailableError
from core.settings import Settings
from infra import pids

# Longer than all graces of the supervisors together: beyond it something hangs that waiting does not cure.
_PATIENCE_S = 150.0
_POLL_S = 0.1


@click.command()
@click.option("--now", is_flag=True, help="Do not wait for events under way: they are picked up at the next start.")
def down(*, now: bool) -> int:
    """Stop the running stack in order and wait until it is gone. Says so when none is running."""
    folder = Settings.from_env(os.environ).state_dir.absolute()
    pid = holder.of(folder)
    if pid is None:
        click.echo(f"no stack is running in {folder}")
        return ExitCode.OK
    progress = PlainLines(lambda line: click.echo(line, err=True), known=document.find(folder).snapshot)
    click.echo(f"stopping the stack (pid {pid})", err=True)
    _signal(pid)
    if now:
        time.sleep(_POLL_S)  # two signals at the same moment are one
        if holder.of(folder) == pid:
            _signal(pid)
    deadline = time.monotonic() + _PATIENCE_S
    # The folder is free a moment before its process has ended.
    while holder.of(folder) == pid or pids.alive(pid):
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"the stack ({pids.describe(pid)}) is still there after {_PATIENCE_S:g} s",
                hint="`sluice down --now` ends it at once; `sluice logs` says what hangs.",
            )
        found = document.find(folder)
        if found.snapshot is not None and found.snapshot.pid == pid and found.snapshot.phase == "draining":
            progress.show(found.snapshot)
        time.sleep(_POLL_S)
    click.echo(f"stopped; the data stays in {folder}")
    return ExitCode.OK


def _signal(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return  # it ended by itself
    except PermissionError:
        raise StateError(f"{pids.describe(pid)} belongs to another user and cannot be stopped") from None
