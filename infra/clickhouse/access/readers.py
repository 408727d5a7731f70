"""Admits a reader's statement and gives it a connection that can do no more than read what the role may see.

The order on the connection matters: database, parameters and settings first, the tenant, then `readonly`, because
nothing can be set after it, and the role last, because nothing but the role's views can be read after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from infra.clickhouse.access import allowed
from infra.clickhouse.access.engine import TENANT_SETTING, name_of
from infra.clickhouse.access.rights import Rights
from infra.clickhouse.access.users import Identity, Role
from infra.clickhouse.access.views import RoleViews
from infra.clickhouse.engine import TAG_SETTING, Engine, Link
from infra.clickhouse.errors import ClickHouseError
from infra.clickhouse.statement import Statement

_CLIENTS_DEFAULT: Final = "default"  # what clients send that were told no database


class Readers:
    def __init__(self, engine: Engine, rights: Rights) -> None:
        self._engine = engine
        self._rights = rights
        self._views = RoleViews(engine, rights)
        self._table_functions: frozenset[str] = frozenset()

    def admit(
        self,
        statement: Statement,
        *,
        identity: Identity,
        database: str,
        settings: Mapping[str, str],
        form: str,
        has_tables: bool,
    ) -> Statement:
        """The statement as it may run. Raises what the reader must read instead."""
        own = self._rights.database_of(identity.role)
        if database not in ("", _CLIENTS_DEFAULT, self._rights.database, own):
            raise ClickHouseError(81, "UNKNOWN_DATABASE", f"Database {database} does not exist")
        if has_tables:
            raise ClickHouseError(164, "READONLY", "Cannot make tables of the request in readonly mode")
        allowed.check_settings(settings)
        allowed.check_format(form, identity=identity)
        allowed.check(statement, identity=identity, table_functions=self._all_table_functions())
        return allowed.with_own_database(statement, database=self._rights.database, own=own)

    @contextmanager
    def connected(
        self, identity: Identity, *, settings: Mapping[str, str], parameters: Mapping[str, str], tag: str
    ) -> Iterator[Link]:
        """A connection of this request alone: readers have no sessions, as nothing of theirs could be kept in one."""
        self._views.bring_up_to_date(identity.role)
        link = self._engine.link()
        try:
            link.use(self._rights.database_of(identity.role))
            link.assign({f"param_{name}": value for name, value in parameters.items()})
            link.assign({TAG_SETTING: tag, **{name: value for name, value in settings.items() if name != "readonly"}})
            if identity.role is Role.TENANT:
                link.assign({TENANT_SETTING: identity.tenant, "output_format_write_statistics": "0"})
            link.assign({"readonly": "1"})
            link.query(f"SET ROLE {name_of(identity.role)}")
            yield link
        finally:
            link.close()

    def _all_table_functions(self) -> frozenset[str]:
        if not self._table_functions:
            link = self._engine.link()
            try:
                names = link.text("SELECT lower(name) FROM system.table_functions")
            finally:
                link.close()
            self._table_functions = frozenset(names.splitlines())
        return self._table_functions
