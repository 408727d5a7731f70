"""`sluice schemas validate`: which events of a file keep their contracts, and what is wrong with the others."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from cli.schemas.folder import chosen, find, folder_option
from cli.schemas.judging import Complaint, EventJudge, PropertiesJudge, Verdict
from cli.schemas.lines import MAX_LINE_BYTES, Line, lines
from cli.tail.safe_text import json_line
from cli.tail.safe_text import shown as safe
from core.errors import ExitCode, InputError
from schemas.registry import registry_at

# Names of unplanned properties come from clients: more than a summary needs are not kept.
_MOST_NAMES = 20


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--event", metavar="SUBJECT[:VERSION]", help="Lines are bare properties of this event. Drafts count too.")
@click.option("--drafts", is_flag=True, help="Judge whole events by drafts too.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines: a verdict for each line, the sum last.")
@folder_option
def validate(*, file: Path, event: str | None, drafts: bool, as_json: bool, folder: Path | None) -> None:
    """Judge the JSON lines of FILE, or of standard input if it is `-`: events as they are sent to the collector.

    Shows every line that breaks its contract with all its faults, and a sum. Ends with 1 if there is such a line.

    \b
    Examples:
      sluice schemas validate events.jsonl
      sluice schemas sample search | sluice schemas validate - --event search
    """
    registry = registry_at(chosen(folder), drafts=drafts or event is not None)
    judge = PropertiesJudge(find(registry, event)) if event else EventJudge(registry)
    tally = _Tally()
    with _opened(file) as stream, _progress(file) as on_bytes:
        for line in lines(stream, on_bytes):
            verdict = _verdict(judge, line)
            tally.add(verdict)
            if as_json:
                click.echo(json_line(_document(line, verdict)))
            elif verdict.complaints:
                _tell(line, verdict)
    if not tally.lines:
        raise InputError(f"{file} holds no event")
    click.echo(json_line({"summary": tally.document()}) if as_json else tally.words())
    if tally.invalid:
        sys.exit(ExitCode.DIFFERENCE)


class _Tally:
    def __init__(self) -> None:
        self.lines = 0
        self.invalid = 0
        self._of: Counter[str] = Counter()
        self._invalid_of: Counter[str] = Counter()
        self._unplanned: Counter[str] = Counter()

    def add(self, verdict: Verdict) -> None:
        self.lines += 1
        self._of[verdict.contract] += 1
        if verdict.complaints:
            self.invalid += 1
            self._invalid_of[verdict.contract] += 1
        for name in verdict.unplanned:
            if name in self._unplanned or len(self._unplanned) < _MOST_NAMES:
                self._unplanned[name] += 1

    def document(self) -> dict[str, Any]:
        return {
            "lines": self.lines,
            "valid": self.lines - self.invalid,
            "invalid": self.invalid,
            "contracts": {
                contract or None: {"lines": count, "invalid": self._invalid_of[contract]}
                for contract, count in sorted(self._of.items())
                if contract
            },
            "unplanned": dict(self._unplanned.most_common()),
        }

    def words(self) -> str:
        colour = "red" if self.invalid else "green"
        sums = click.style(f"{self.lines - self.invalid:,} valid, {self.invalid:,} invalid", fg=colour, bold=True)
        told = [f"{self.lines:,} line{'' if self.lines == 1 else 's'}: {sums}"]
        for contract, count in sorted(self._of.items()):
            wrong = self._invalid_of[contract]
            told.append(f"  {contract or 'no contract'}: {count - wrong:,} valid, {wrong:,} invalid")
        if self._unplanned:
            names = ", ".join(f"{safe(name)} ({count:,})" for name, count in self._unplanned.most_common())
            told.append(f"  kept, but in no contract: {names}")
        return "\n".join(told)


def _verdict(judge: PropertiesJudge | EventJudge, line: Line) -> Verdict:
    if line.content is None:
        return Verdict("", [Complaint("too_large", "$", f"a line may have {MAX_LINE_BYTES:,} bytes")], [])
    return judge.judge(line.content)


def _tell(line: Line, verdict: Verdict) -> None:
    click.echo(click.style(f"line {line.number}", bold=True) + (f" {verdict.contract}" if verdict.contract else ""))
    for each in verdict.complaints:
        click.echo(f"  {safe(each.path)}: {safe(each.message)} ({each.code})")


def _document(line: Line, verdict: Verdict) -> dict[str, Any]:
    return {
        "line": line.number,
        "contract": verdict.contract or None,
        "valid": not verdict.complaints,
        "faults": [{"code": each.code, "path": each.path, "message": each.message} for each in verdict.complaints],
        "unplanned": verdict.unplanned,
    }


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    try:
        stream = file.open("rb")
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    with stream:
        yield stream


@contextmanager
def _progress(file: Path) -> Iterator[Callable[[int], None]]:
    """A bar on standard error while a file is read on a terminal; what is told is told above it."""
    if str(file) == "-" or not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    # Only what a terminal would show anyway may be led through the bar's stream.
    bar = Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
        redirect_stderr=False,
    )
    with bar:
        task = bar.add_task("", total=file.stat().st_size)
        yield lambda count: bar.advance(task, count)
