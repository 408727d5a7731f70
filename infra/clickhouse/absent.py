"""What an embedded engine lacks, refused in words that say so, with the code a server without the thing has.

    users, roles, quotas, row policies   497 ACCESS_DENIED   the engine knows one user; readers are made with the front
    Replicated…, KeeperMap               225 NO_ZOOKEEPER    one node, no Keeper
    ON CLUSTER, Distributed              701 CLUSTER_DOESNT_EXIST
    listening on a port                  344 SUPPORT_IS_DISABLED

The engine itself would refuse each, for a reason of its own that does not help: a missing grant, a missing macro.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from infra.clickhouse.errors import ClickHouseError
from infra.clickhouse.lexer import Kind, Token

_ACCESS_VERBS: Final = frozenset({b"CREATE", b"ALTER", b"DROP", b"SHOW", b"MOVE"})
_ACCESS_THINGS: Final = frozenset({
    b"USER", b"USERS", b"ROLE", b"ROLES", b"QUOTA", b"QUOTAS", b"POLICY", b"POLICIES", b"PROFILE", b"PROFILES",
    b"ACCESS", b"MASKING",
})  # fmt: skip
_ACCESS_PAIRS: Final = frozenset({
    (b"ROW", b"POLICY"), (b"ROW", b"POLICIES"), (b"SETTINGS", b"PROFILE"), (b"SETTINGS", b"PROFILES"),
})  # fmt: skip
_READING: Final = frozenset({b"SELECT", b"WITH", b"FROM", b"INSERT", b"EXPLAIN", b"DESCRIBE", b"DESC", b"EXISTS"})


def refuse(found: list[Token]) -> None:
    """`found` is the whole statement. Raises what the client must read."""
    words = [token.upper for token in found[:3]] + [b"", b"", b""]
    if _manages_access(words):
        raise ClickHouseError(
            497, "ACCESS_DENIED", "The embedded engine takes no users, roles, quotas or policies by SQL. Make "
            "users with `sluice users create`, or use a real server")  # fmt: skip
    if words[:3] == [b"SYSTEM", b"START", b"LISTEN"]:
        raise ClickHouseError(
            344, "SUPPORT_IS_DISABLED", "The embedded engine listens on no port of its own", status=400
        )
    if words[0] in _READING:
        return
    for name in engines(found):
        lowered = name.lower()
        if lowered.startswith("replicated") or lowered == "keepermap":
            message = f"Engine {name} needs Keeper, which the embedded engine does not have. Use a real server for it"
            raise ClickHouseError(225, "NO_ZOOKEEPER", message, status=400)
        if lowered == "distributed":
            raise _no_cluster()
    for before, token in pairwise(found):
        if (before.upper, token.upper) == (b"ON", b"CLUSTER") and not before.depth:
            raise _no_cluster()


def engines(found: list[Token]) -> Iterable[str]:
    """Names behind the bare keyword ENGINE, with or without `=`, before the query of a view begins."""
    for index, token in enumerate(found):
        if token.depth == 0 and token.upper in (b"SELECT", b"WITH"):
            return
        if token.depth or token.upper != b"ENGINE":
            continue
        after = [t for t in found[index + 1 : index + 3] if t.text != b"="]
        if after and after[0].kind in (Kind.WORD, Kind.QUOTED):
            yield after[0].name


def _manages_access(words: list[bytes]) -> bool:
    verb, second, third = words[:3]
    if verb in (b"GRANT", b"REVOKE"):
        return True
    if verb == b"SET" and (second == b"ROLE" or (second, third) == (b"DEFAULT", b"ROLE")):
        return True
    return verb in _ACCESS_VERBS and (second in _ACCESS_THINGS or (second, third) in _ACCESS_PAIRS)


def _no_cluster() -> ClickHouseError:
    message = "The embedded engine is one node and knows no clusters. Leave ON CLUSTER out, or use a real server"
    return ClickHouseError(701, "CLUSTER_DOESNT_EXIST", message, status=400)
