"""The rights in the engine's own words, in files that it reads from the working folder when it opens.

    role sluice_admin      everything; the connections of `default` and of admins have it
    role sluice_<role>     SELECT on the database of the role, nothing else
    user sluice_<role>     owner of the role's views: SELECT on what they read; for tenants under row policies

The engine's one user can take each role, also back: so readers never get to send SET ROLE (`allowed`). The tenant is a
setting of the connection that readers cannot change; where it is empty, no row is theirs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from infra.clickhouse.access.rights import READERS, Rights
from infra.clickhouse.access.users import Role
from infra.clickhouse.sql_text import identifier

# A setting for queues that the embedded engine refuses anyway: it does nothing else.
TENANT_SETTING: Final = "stream_like_engine_insert_queue"
_POLICY: Final = f"tenant != '' AND tenant = getSetting('{TENANT_SETTING}')"
_CONFIG: Final = "<clickhouse><users_config>users.xml</users_config></clickhouse>\n"
_ADMIN: Final = "sluice_admin"
_BASICS: Final = "<networks><ip>::1</ip></networks><profile>default</profile><quota>default</quota>"


def name_of(role: Role) -> str:
    """Of the engine's role, and of the engine's user whose rights the role's views run with."""
    return f"sluice_{role.value}"


@contextmanager
def configured(rights: Rights | None, *, folder: Path) -> Iterator[None]:
    """While the engine opens: it looks for its configuration in the working folder and nowhere else."""
    if rights is None:
        yield
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "config.xml").write_text(_CONFIG)
    (folder / "users.xml").write_text(users_xml(rights))
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def users_xml(rights: Rights) -> str:
    roles = _role(_ADMIN, ["GRANT ALL ON *.*"]) + "".join(
        _role(name_of(role), _grants(rights, role)) for role in READERS
    )
    taken = [f"GRANT {name}" for name in (_ADMIN, *map(name_of, READERS))]
    users = _user("default", taken) + "".join(
        _user(name_of(role), _reads(rights, role), _policies(rights) if role is Role.TENANT else "") for role in READERS
    )
    return (
        "<clickhouse><profiles><default/></profiles><quotas><default/></quotas>"
        f"<roles>{roles}</roles><users>{users}</users></clickhouse>\n"
    )


def _grants(rights: Rights, role: Role) -> list[str]:
    return [f"GRANT SELECT ON {identifier(rights.database_of(role))}.*"]


def _reads(rights: Rights, role: Role) -> list[str]:
    database = identifier(rights.database)
    return [f"GRANT SELECT ON {database}.{_table(name)}" for name in rights.reads.get(role.value, [])]


def _table(name: str) -> str:
    return name if name.endswith("*") else identifier(name)


def _policies(rights: Rights) -> str:
    tables = "".join(f"<{name}><filter>{escape(_POLICY)}</filter></{name}>" for name in rights.by_tenant)
    return f"<databases><{rights.database}>{tables}</{rights.database}></databases>"


def _role(name: str, grants: list[str]) -> str:
    return f"<{name}>{_queries(grants)}</{name}>"


def _user(name: str, grants: list[str], more: str = "") -> str:
    return f"<{name}><no_password/>{_BASICS}{_queries(grants)}{more}</{name}>"


def _queries(grants: list[str]) -> str:
    return "<grants>" + "".join(f"<query>{escape(grant)}</query>" for grant in grants) + "</grants>"
