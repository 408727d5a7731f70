"""Runs one statement to its end: rows to a stream or a table on a terminal, progress beside it, Ctrl-C kills it."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import BinaryIO

from rich.console import Console

from cli.sql import statements, table
from cli.sql.server import Answer, Server
from cli.sql.table import Drawn
from cli.sql.watching import watched


@dataclass(frozen=True, slots=True)
class How:
    """`form` is the format asked for; without one, a table is drawn where `console` is given. `output` takes bytes."""

    form: str = ""
    console: Console | None = None
    output: BinaryIO | None = None
    is_vertical: bool = False
    shows_progress: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Done:
    seconds: float
    drawn: Drawn | None  # None where no table was drawn
    written_rows: int


def run(server: Server, sql: bytes, how: How, *, rows: Iterator[bytes] | None = None) -> Done:
    """Raises as `Server.run`, and KeyboardInterrupt after the statement was told to stop."""
    mark = f"sluice-{uuid.uuid4()}"
    draws = not how.form and how.console is not None and statements.has_result(sql) and not statements.names_format(sql)
    form = table.FORMAT if draws else how.form or "TabSeparatedWithNames"
    began = perf_counter()
    answer: Answer | None = None
    drawn = None
    try:
        with watched(server, mark, on=how.shows_progress) as answered:
            answer = server.run(sql, form=form, mark=mark, extra=how.settings, parameters=how.parameters, body=rows)
            if draws and how.console is not None:
                drawn = table.draw(answer, how.console, vertical=how.is_vertical, before=answered.set)
            else:
                _copy(answer, how.output or sys.stdout.buffer, answered.set)
    except KeyboardInterrupt:
        server.kill(mark)
        raise
    finally:
        if answer is not None:
            answer.close()
    return Done(perf_counter() - began, drawn, answer.summary.get("written_rows", 0))


def _copy(answer: Answer, output: BinaryIO, before: Callable[[], None]) -> None:
    for piece in answer:
        before()
        output.write(piece)
    output.flush()
