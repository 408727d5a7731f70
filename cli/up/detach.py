"""`sluice up --detach`: starts the stack in a session of its own and waits until it is ready.

What is started is `sluice up` itself; this process only looks at its status document and, if it fails, at its log.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import msgspec

from cli.up import document
from cli.up.log_lines import read_records
from cli.up.screens import PlainLines
from cli.up.snapshot import Snapshot
from cli.up.words import span
from core.errors import ExitCode, SluiceError

_POLL_S = 0.2


def detach(folder: Path, *, workers: int, as_json: bool) -> int:
    """Start, wait, say where things are.

    Raises:
        SluiceError: it did not come up; with its own message and exit code. Nothing is left running.
    """
    log = folder / "logs" / "up.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("ab") as output:
        began_at = output.tell()
        child = subprocess.Popen(
            [sys.executable, "-m", "cli", "up", "--background", "--workers", str(workers)],
            env=os.environ | {"SLUICE_STATE_DIR": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # the terminal's Ctrl-C and end are not for it
        )
    try:
        snapshot = _await_ready(child, folder, quiet=as_json)
    except KeyboardInterrupt:
        child.send_signal(signal.SIGTERM)
        child.wait()
        raise
    if snapshot is None:
        raise _failure(child, log, began_at)
    # It outlives us on purpose, which Popen would warn of.
    child.returncode = 0
    if as_json:
        click.echo(msgspec.json.encode(document.as_json(snapshot)).decode())
    else:
        _say(snapshot, log)
    return ExitCode.OK


def _await_ready(child: subprocess.Popen[bytes], folder: Path, *, quiet: bool) -> Snapshot | None:
    """The first snapshot of the running stack; None if it ended before."""
    progress = PlainLines(lambda line: None if quiet else click.echo(line, err=True))
    while True:
        found = document.find(folder)
        if found.pid == child.pid and found.snapshot is not None:
            if found.snapshot.phase == "running":
                return found.snapshot
            progress.show(found.snapshot)
        try:
            child.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            continue
        return None


def _failure(child: subprocess.Popen[bytes], log: Path, began_at: int) -> SluiceError:
    said = [r for r in read_records(log, start=began_at) if r.event == "up.failed" and r.fields.get("pid") == child.pid]
    if said:
        error = SluiceError(str(said[-1].fields["message"]), hint=str(said[-1].fields["hint"]))
    else:
        error = SluiceError(
            f"the stack ended with exit code {child.returncode} before it was ready", hint=f"See {log}."
        )
    known = child.returncode in {code.value for code in ExitCode}
    error.exit_code = ExitCode(child.returncode) if known and child.returncode else ExitCode.INTERNAL
    return error


def _say(snapshot: Snapshot, log: Path) -> None:
    click.echo(f"The stack is ready after {span(snapshot.up_s)} and runs in the background (pid {snapshot.pid}).")
    if snapshot.addresses is not None:
        click.echo(f"  collector   {snapshot.addresses.collector_url}")
        click.echo(f"  ClickHouse  {snapshot.addresses.clickhouse_url}")
        click.echo(f"  Kafka       {snapshot.addresses.kafka_bootstrap}")
        if snapshot.addresses.registry_url:
            click.echo(f"  registry    {snapshot.addresses.registry_url}")
        click.echo(f"  key         {snapshot.addresses.key_hint} (whole in {snapshot.addresses.key_file})")
    click.echo(f"  logs        {log.parent}")
    click.echo("`sluice status` looks at it, `sluice logs -f` follows it, `sluice down` stops it.")
