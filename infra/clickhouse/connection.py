"""The engine connection of one request: taken, set up as the request asks, and left as it was found.

Order matters: the database first (unknown names then mean what the client means), then parameters and settings, then
external tables (whose rows the settings help to read), and `readonly` last of all, because nothing can follow it. A
request without a session has a connection of its own, so only sessions need the way back.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from infra.clickhouse import multipart
from infra.clickhouse.engine import TAG_SETTING, Engine, Link
from infra.clickhouse.errors import ClickHouseError
from infra.clickhouse.multipart import ExternalTable
from infra.clickhouse.request import SessionRequest
from infra.clickhouse.sessions import Session, Sessions
from infra.clickhouse.sql_text import literal

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """What one request wants of its connection."""

    user: str
    tag: str
    database: str
    parameters: dict[str, str]
    settings: dict[str, str]
    uses_database: bool = False  # the statement is a USE, so a session ends up somewhere else
    tables: Sequence[ExternalTable] = ()
    session: SessionRequest | None = None


@contextmanager
def connected(setup: Setup, *, engine: Engine, sessions: Sessions) -> Iterator[Link]:
    if setup.session is None:
        link = engine.link()
        try:
            _apply(setup, link)
            yield link
        finally:
            link.close()
        return
    with sessions.hold(setup.session, user=setup.user) as session:
        before = _values_before(setup, session.link)
        try:
            _apply(setup, session.link)
            yield session.link
        finally:
            _restore(setup, session, before)


def _apply(setup: Setup, link: Link) -> None:
    if setup.database:
        link.use(setup.database)
    link.assign({f"param_{name}": value for name, value in setup.parameters.items()})
    settings = {TAG_SETTING: setup.tag, **setup.settings}
    readonly = settings.pop("readonly", None)
    link.assign(settings)
    for table in setup.tables:
        multipart.create(table, link=link)
    if readonly is not None:
        link.assign({"readonly": readonly})


def _values_before(setup: Setup, link: Link) -> list[str]:
    """The assignments that bring back what `setup` is about to change."""
    if not setup.settings:
        return []
    names = ", ".join(literal(name) for name in setup.settings)
    sql = f"SELECT name, value, changed FROM system.settings WHERE name IN ({names})"  # noqa: S608  quoted above
    rows = link.query(sql, form="JSONCompactEachRow")
    known = [json.loads(line) for line in rows.data.splitlines()]
    return [f"{name} = {literal(value) if changed else 'DEFAULT'}" for name, value, changed in known]


def _restore(setup: Setup, session: Session, before: list[str]) -> None:
    link = session.link
    try:
        if before:
            link.query("SET " + ", ".join(before))
        for table in setup.tables:
            multipart.drop(table, link=link)
        if setup.uses_database:
            session.database = link.text("SELECT currentDatabase()")
        elif setup.database:
            link.use(session.database)
    except ClickHouseError as error:
        session.broken = True
        log.warning("clickhouse.session_dropped", extra={"reason": error.message[:200]})
