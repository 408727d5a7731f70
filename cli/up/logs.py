"""`sluice logs`: the logs of all processes in the order of time, or those of one. Also of a stack that has ended."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click
import msgspec

from cli.up.log_lines import Record, merged, parse, read_records, shown
from core.errors import UsageError
from core.settings import Settings

_POLL_S = 0.25
_COLORS = {"warning": "yellow", "error": "red", "debug": "bright_black"}


@click.command()
@click.argument("process", default="")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("-n", "--lines", type=click.IntRange(0), default=50, show_default=True, help="Entries to begin with.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object an entry.")
def logs(*, process: str, follow: bool, lines: int, as_json: bool) -> None:
    """Show what the processes log: all of them merged, or one PROCESS (e.g. streams, or up for the stack itself)."""
    folder = Settings.from_env(os.environ).state_dir.absolute() / "logs"
    tails = {path: Tail(path) for path in _files(folder, process)}
    width = max(len(path.stem) for path in tails)
    records = [record for tail in tails.values() for record in tail.last(lines)]
    for record in merged(records)[len(records) - min(lines, len(records)) :]:
        _print(record, width, as_json=as_json)
    while follow:
        sys.stdout.flush()
        time.sleep(_POLL_S)
        for path in _files(folder, process):
            # A process that was started meanwhile: all of its log is new.
            tails.setdefault(path, Tail(path))
        for record in merged(record for tail in tails.values() for record in tail.new()):
            _print(record, width, as_json=as_json)


def _files(folder: Path, process: str) -> list[Path]:
    """Raises UsageError if there are none, naming those there are."""
    found = sorted(folder.glob("*.log"))
    wanted = [path for path in found if path.stem == process] if process else found
    if not wanted:
        known = ", ".join(path.stem for path in found)
        message = f"there is no log of {process} in {folder}" if process and found else f"there are no logs in {folder}"
        hint = f"There are: {known}." if known else "`sluice up` starts a stack; SLUICE_STATE_DIR names its folder."
        raise UsageError(message, hint=hint)
    return wanted


class Tail:
    """The end of one log file, followed through rotation. `new` gives whole lines only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._at = 0
        self._inode = 0
        self._rest = b""
        self._time = ""

    def last(self, count: int) -> list[Record]:
        """The last `count` records; `new` goes on after them."""
        records = read_records(self.path)
        try:
            found = self.path.stat()
            self._at, self._inode = found.st_size, found.st_ino
        except OSError:
            return []
        self._time = records[-1].at if records else ""
        return records[-count:] if count else []

    def new(self) -> list[Record]:
        try:
            found = self.path.stat()
            if found.st_ino != self._inode or found.st_size < self._at:
                self._at, self._inode, self._rest = 0, found.st_ino, b""
            if found.st_size == self._at:
                return []
            with self.path.open("rb") as file:
                file.seek(self._at)
                data = file.read()
        except OSError:
            return []
        self._at += len(data)
        whole, _, self._rest = (self._rest + data).rpartition(b"\n")
        records = list(parse(whole.decode(errors="replace").splitlines(), process=self.path.stem, at=self._time))
        if records:
            self._time = records[-1].at
        return records


def _print(record: Record, width: int, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(as_object(record)).decode())
        return
    for line in shown(record, name_width=width):
        click.secho(line, fg=_COLORS.get(record.level))


def as_object(record: Record) -> dict[str, object]:
    """A JSON line of ours as it is; anything else in the same form."""
    if record.raw.startswith("{") and record.level:
        found = msgspec.json.decode(record.raw)
        return {**found, "process": record.process}
    return {"at": record.at, "level": record.level or "info", "process": record.process, "event": record.event}
