"""What a database lacks of what the migrations make: a table, a view or a column that somebody dropped or changed.

What there should be is asked from the server itself: the same migrations are applied to a database beside it, which is
compared column by column and dropped. What there is besides is nobody's business.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from core.settings import Settings
from sinks import migrate
from sinks.clickhouse import ClickHouse

_TABLES = "SELECT name, engine, create_table_query FROM system.tables WHERE database = {database:String} ORDER BY name"
_COLUMNS = (
    "SELECT table, name, type, default_kind, default_expression, comment FROM system.columns "
    "WHERE database = {database:String} ORDER BY table, position"
)


@dataclass(frozen=True, slots=True)
class Drift:
    """`what` is wrong in words, `remedy` the statement that puts it right; empty where a person has to decide."""

    table: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.table}: {self.what}"


@dataclass(frozen=True, slots=True)
class _Column:
    type: str
    default_kind: str
    default: str
    comment: str

    @property
    def definition(self) -> str:
        default = f" {self.default_kind} {self.default}" if self.default_kind else ""
        comment = self.comment.replace("\\", "\\\\").replace("'", "\\'")
        return f"{self.type}{default} COMMENT '{comment}'"


def drift(settings: Settings) -> list[Drift]:
    """What the database lacks, of the migrations up to the last that it has. Its own tables are only read.

    Raises:
        UnavailableError: the server does not answer.
    """
    server = ClickHouse(settings)
    done = migrate.applied(server)
    beside = replace(
        settings,
        clickhouse_database=f"{settings.clickhouse_database}_expected_{secrets.token_hex(4)}",
        clickhouse_cluster="",
    )
    try:
        migrate.apply_numbered(beside, [each for each in migrate.load() if each.number <= max(done, default=0)])
        return list(_differences(server, have=settings.clickhouse_database, want=beside.clickhouse_database))
    finally:
        ClickHouse(settings, database="").execute(f"DROP DATABASE IF EXISTS `{beside.clickhouse_database}` SYNC")


def _differences(server: ClickHouse, *, have: str, want: str) -> Iterator[Drift]:
    there = {name: engine for name, engine, _ in server.rows(_TABLES, database=have)}
    columns_there, columns_due = _columns(server, have), _columns(server, want)
    for table, engine, statement in _in_order(server.rows(_TABLES, database=want), want):
        kind = "view" if engine.endswith("View") else "table"
        if table not in there:
            yield Drift(table, f"the {kind} is missing", statement.replace(f"{want}.", f"{have}."))
            continue
        if there[table].removeprefix("Replicated").removeprefix("Shared") != engine:
            yield Drift(table, f"it is {there[table]}, not {engine}")
            continue
        mine = columns_there.get(table, {})
        for name, column in columns_due.get(table, {}).items():
            if kind == "view":
                if name not in mine:
                    yield Drift(table, f"the column {name} is missing", statement.replace(f"{want}.", f"{have}."))
                    break
            else:
                yield from _column(table, name, column, mine.get(name))


def _in_order(tables: Iterable[list[str]], database: str) -> Iterator[list[str]]:
    """Each behind what it reads, so that remedies can be carried out as they come: tables, then views."""
    views = []
    for each in tables:
        if each[1].endswith("View"):
            views.append(each)
        else:
            yield each
    while views:
        names = {name for name, _, _ in views}
        ready = [each for each in views if not (names - {each[0]}) & set(_words(each[2], database))]
        yield from ready or views  # none can be ready only if they read each other, which no server allows
        views = [each for each in views if each not in ready] if ready else []


def _words(statement: str, database: str) -> list[str]:
    """Names of tables and views in a statement, as the server writes them."""
    return re.findall(rf"\b{database}\.`?(\w+)`?", statement)


def _column(table: str, name: str, due: _Column, there: _Column | None) -> Iterator[Drift]:
    if there is None:
        remedy = f"ALTER TABLE {table} ADD COLUMN `{name}` {due.definition}"
        yield Drift(table, f"the column {name} is missing", remedy)
    elif there.type != due.type:
        yield Drift(table, f"the column {name} is {there.type}, not {due.type}")
    elif (there.default_kind, there.default) != (due.default_kind, due.default):
        remedy = f"ALTER TABLE {table} MODIFY COLUMN `{name}` {due.definition}"
        yield Drift(table, f"the column {name} has another default", remedy)


def _columns(server: ClickHouse, database: str) -> dict[str, dict[str, _Column]]:
    found: dict[str, dict[str, _Column]] = {}
    for table, name, *rest in server.rows(_COLUMNS, database=database):
        found.setdefault(table, {})[name] = _Column(*rest)
    return found
