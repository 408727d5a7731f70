"""`sluice sql`: reads statements, runs them, and stays alive whatever they do.

An error of a statement is told and the next one is read; so is a server that went away. Ctrl-C on a statement kills it,
on a line that is being written drops that line. On something else than a terminal there is no prompt and the first
error ends it, so that a file can be piped in.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import click
from rich.console import Console as Screen

from cli.sql import meta, running, statements
from cli.sql.meta import MetaError, Query
from cli.sql.running import Done, How
from cli.sql.server import Server
from core.errors import ExitCode, InputError, SluiceError

_PIECE_BYTES: Final = 1 << 20
_MAX_INCLUDED: Final = 8  # files in files; one that includes itself must end


class Console:
    """`read` gives the next text, statements or one command; it raises EOFError at the end."""

    def __init__(self, server: Server, *, screen: Screen, is_interactive: bool) -> None:
        self._server = server
        self._screen = screen
        self._is_interactive = is_interactive
        self._how = How(
            console=screen if screen.is_terminal else None, shows_progress=is_interactive and sys.stderr.isatty()
        )
        self._timing = is_interactive
        self._depth = 0
        self.is_over = False

    @property
    def database(self) -> str:
        return self._server.database

    def loop(self, read: Callable[[], str]) -> ExitCode:
        while not self.is_over:
            try:
                text = read()
            except EOFError:
                break
            except KeyboardInterrupt:
                continue
            try:
                self.run(text)
            except KeyboardInterrupt:
                click.secho("cancelled", fg="yellow", err=True)
                if not self._is_interactive:
                    return ExitCode.INTERRUPTED
            except (SluiceError, MetaError, OSError) as error:
                self._tell(error)
                if not self._is_interactive:
                    return error.exit_code if isinstance(error, SluiceError) else ExitCode.INPUT
        return ExitCode.OK

    def run(self, text: str) -> None:
        """One command, or statements up to the first that fails."""
        if meta.is_meta(text):
            self._command(text)
            return
        for piece in statements.split(text):
            if statements.takes_rows(piece.sql):
                raise InputError("rows of an INSERT are written as VALUES here; `sluice query` takes them from a file")
            self._statement(piece.sql)

    def _statement(self, sql: bytes, how: How | None = None, *, nothing: str = "") -> None:
        done = running.run(self._server, sql, how or self._how)
        if nothing and done.drawn is not None and not done.drawn.rows:
            click.echo(nothing)
        elif self._is_interactive:
            click.secho(self._summary(done), dim=True)

    def _summary(self, done: Done) -> str:
        said = []
        if done.drawn is not None:
            rows = f"{done.drawn.rows:,} row{'' if done.drawn.rows == 1 else 's'}"
            said.append(f"the first {rows}; `sluice query` writes all" if done.drawn.is_cut else rows)
        elif done.written_rows:
            said.append(f"{done.written_rows:,} rows written")
        else:
            said.append("ok")
        if self._timing:
            said.append(f"{done.seconds:.3f} s")
        return ", ".join(said)

    def _command(self, line: str) -> None:
        found = meta.read(line)
        if isinstance(found, Query):
            how = replace(self._how, form="", is_vertical=False, parameters=found.parameters)
            self._statement(found.sql.encode(), how, nothing=found.nothing)
            return
        match found.name:
            case "quit":
                self.is_over = True
            case "help":
                click.echo(meta.HELP)
            case "vertical":
                self._how = replace(self._how, is_vertical=not self._how.is_vertical)
                click.echo(f"one line a column: {'on' if self._how.is_vertical else 'off'}")
            case "timing":
                self._timing = not self._timing
                click.echo(f"timing: {'on' if self._timing else 'off'}")
            case "format":
                self._how = replace(self._how, form=found.argument)
                click.echo(f"format: {found.argument or 'tables'}")
            case "connect":
                self._use(found.argument)
            case "include":
                self._include(Path(found.argument).expanduser())

    def _use(self, database: str) -> None:
        name = database.strip('`"')
        quoted = name.replace("\\", "\\\\").replace("`", "\\`")
        self._statement(f"USE `{quoted}`".encode())

    def _include(self, path: Path) -> None:
        if self._depth == _MAX_INCLUDED:
            raise InputError(f"{path}: files include each other more than {_MAX_INCLUDED} deep")
        self._depth += 1
        try:
            self.run(path.read_text(encoding="utf-8"))
        finally:
            self._depth -= 1

    def _tell(self, error: Exception) -> None:
        message = error.message if isinstance(error, SluiceError) else str(error)
        click.secho(message, fg="red", err=True)
        if isinstance(error, SluiceError) and error.hint:
            click.echo(error.hint, err=True)


def piped(source: Iterator[str]) -> Callable[[], str]:
    """Texts of something that is no terminal: commands a line each, statements at their `;`."""
    held = ""

    def read() -> str:
        nonlocal held
        for line in source:
            if not held and meta.is_meta(line):
                return line
            held += line
            if is_complete(held):
                text, held = held, ""
                return text
        if held.strip():
            text, held = held, ""
            return text
        raise EOFError

    return read


def is_complete(text: str) -> bool:
    """Whether Enter may send it: a command, or statements the last of which has ended."""
    if not text.strip() or meta.is_meta(text):
        return True
    pieces = statements.split(text)
    return bool(pieces) and pieces[-1].ended and not statements.is_open(text)
