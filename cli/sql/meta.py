"""The console's own commands: a backslash and a letter, as in psql. All else is SQL and ends with `;`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HELP: Final = """\
A statement ends with `;` and may have several lines. Ctrl-C stops a statement that runs, Ctrl-D leaves.

  \\d            views and tables        \\d NAME     columns of NAME, with what they mean
  \\l            databases               \\c NAME     use another database
  \\x            one line a column       \\timing     seconds after each statement
  \\f NAME       answer in a format (CSV, JSONEachRow, …); \\f alone draws tables again
  \\i FILE       run the statements of a file
  \\? or help    this                    \\q          leave"""

_VIEWS: Final = """\
SELECT name, if(engine LIKE '%View', 'view', 'table') AS kind, total_rows AS rows, comment
FROM system.tables WHERE database = currentDatabase() AND name NOT LIKE '.inner%' AND engine != 'MaterializedView'
ORDER BY kind = 'table', name"""
_COLUMNS: Final = """\
SELECT name, type, comment FROM system.columns
WHERE database = if({database:String} = '', currentDatabase(), {database:String}) AND table = {table:String}
ORDER BY position"""
_DATABASES: Final = "SELECT name FROM system.databases WHERE name NOT ILIKE 'information_schema' ORDER BY name"


@dataclass(frozen=True, slots=True)
class Query:
    """A command that is a statement."""

    sql: str
    parameters: dict[str, str]
    nothing: str = ""  # what to say when it gives no rows


@dataclass(frozen=True, slots=True)
class Word:
    """A command that the console does itself."""

    name: str  # quit, help, vertical, timing, format, include, connect
    argument: str = ""


class MetaError(ValueError):
    """No such command, or not what it takes."""


_WORDS: Final = {"q": "quit", "?": "help", "x": "vertical", "timing": "timing", "f": "format", "i": "include",
                 "c": "connect"}  # fmt: skip
_TAKES_NAME: Final = frozenset({"include", "connect"})


def is_meta(line: str) -> bool:
    return line.lstrip().startswith("\\") or line.strip().rstrip(";").lower() in {"help", "quit", "exit"}


def read(line: str) -> Query | Word:
    """Raises MetaError."""
    text = line.strip().rstrip(";")
    if not text.startswith("\\"):
        return Word("help" if text.lower() == "help" else "quit")
    command, _, argument = text[1:].partition(" ")
    argument = argument.strip()
    if command in {"d", "dt", "dv"}:
        return _described(argument) if argument else Query(_VIEWS, {}, "No tables here.")
    if command == "l":
        return Query(_DATABASES, {})
    name = _WORDS.get(command)
    if name is None:
        raise MetaError(f"there is no \\{command}; \\? lists all")
    if name in _TAKES_NAME and not argument:
        raise MetaError(f"\\{command} takes a name")
    return Word(name, argument)


def _described(name: str) -> Query:
    database, _, table = name.rpartition(".")
    parts = {"database": database.strip('`"'), "table": table.strip('`"')}
    return Query(_COLUMNS, parts, f"There is no {name}.")
