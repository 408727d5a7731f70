"""What both commands share: the days they are for, and a bar."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_DAY = click.DateTime(["%Y-%m-%d"])
# Called with what is being worked on, how much of it is done, and how much there is.
Show = Callable[[str, int, int], None]


def window(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options `first` and `last`, days of arrival or None."""
    first = click.option("--from", "first", type=_DAY, help="First day of arrival (UTC), e.g. 2026-03-01.")
    last = click.option("--to", "last", type=_DAY, help="Last day of arrival (UTC).")
    return first(last(command))


@contextmanager
def bar() -> Iterator[Show]:
    """A bar on standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _what, _done, _total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("")
        yield lambda what, done, total: shown.update(task, description=what, completed=done, total=total)
