"""The views in a role's database: one for each view of the pipeline that the role may read, of the same name.

They are compared before each reader's statement, because a release of a contract makes new ones at any time. What a
view lists are the columns it was made with, so a view that was made again there is made again here.
"""

from __future__ import annotations

import logging
import threading
from typing import Final

from infra.clickhouse.access.engine import name_of
from infra.clickhouse.access.rights import Rights
from infra.clickhouse.access.users import Role
from infra.clickhouse.engine import Engine, Link
from infra.clickhouse.errors import ClickHouseError
from infra.clickhouse.sql_text import identifier, literal

_MARKED: Final = "SELECT name, concat(toString(uuid), toString(metadata_modification_time)) FROM system.tables"
_NAMED: Final = "SELECT name FROM system.tables"

log = logging.getLogger(__name__)


class RoleViews:
    def __init__(self, engine: Engine, rights: Rights) -> None:
        self._engine = engine
        self._rights = rights
        self._made: dict[Role, dict[str, str]] = {}
        self._guard = threading.Lock()

    def bring_up_to_date(self, role: Role) -> None:
        link = self._engine.link()
        try:
            due = self._due(link, role)
            if due == self._made.get(role):
                return
            with self._guard:
                self._apply(link, role, due)
        finally:
            link.close()

    def _due(self, link: Link, role: Role) -> dict[str, str]:
        """Name and mark of each view that is to be there; the mark changes when the view is made again."""
        found = link.text(f"{_MARKED} WHERE database = {literal(self._rights.database)} AND engine = 'View'")
        rows = [line.split("\t") for line in found.splitlines()]
        return {name: mark for name, mark in rows if self._rights.shows(name, role=role)}

    def _apply(self, link: Link, role: Role, due: dict[str, str]) -> None:
        database = identifier(self._rights.database_of(role))
        made = self._made.get(role)
        link.query(f"CREATE DATABASE IF NOT EXISTS {database}")
        there = link.text(f"{_NAMED} WHERE database = {literal(self._rights.database_of(role))}")
        for name in set(there.splitlines()) - due.keys():
            link.query(f"DROP VIEW IF EXISTS {database}.{identifier(name)}")
        done: dict[str, str] = {}
        for name, mark in due.items():
            if made is None or made.get(name) != mark:
                source = f"{identifier(self._rights.database)}.{identifier(name)}"
                head = f"{database}.{identifier(name)} DEFINER = {name_of(role)} SQL SECURITY DEFINER"
                try:
                    link.query(f"CREATE OR REPLACE VIEW {head} AS SELECT * FROM {source}")  # noqa: S608  quoted
                except ClickHouseError as error:
                    # One view that the role's user cannot read must not take the others away.
                    log.warning("clickhouse.view_not_shared", extra={"view": name, "reason": error.message[:300]})
            done[name] = mark
        self._made[role] = done
