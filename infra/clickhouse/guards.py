"""Statements that must not reach the engine, and why.

    stream engines   the engine accepts the metadata, fails, and never opens the folder again
    several at once  a real server takes one statement a request; a second could hide from these rules
    host files       INTO OUTFILE and FROM INFILE would touch files of the server's host
    input()          the engine answers 200 and stores nothing
    SYSTEM SHUTDOWN  the engine signals the whole process group, whoever else is in it
    writes by GET    a link must not change data

What the engine merely cannot do is told in `absent`. Who may read which table is not decided here.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from infra.clickhouse import absent
from infra.clickhouse.errors import ClickHouseError
from infra.clickhouse.lexer import Token, tokens
from infra.clickhouse.statement import Statement, StatementKind

STREAM_ENGINES: Final = frozenset({
    "azurequeue", "filelog", "kafka", "materializedpostgresql", "nats", "rabbitmq", "redisstreams", "s3queue",
})  # fmt: skip
_DEFINING: Final = frozenset({b"CREATE", b"ATTACH", b"REPLACE"})
_SAFE_BY_GET: Final = frozenset({b"SELECT", b"WITH", b"FROM", b"SHOW", b"DESCRIBE", b"DESC", b"EXISTS", b"EXPLAIN",
                                 b"VALUES", b"USE", b"SET", b"CHECK"})  # fmt: skip


def refuse(statement: Statement, *, method: str = "POST") -> None:
    """Raise what the client must read instead of an answer; return when the engine may have the statement."""
    if method == "GET" and statement.verb not in _SAFE_BY_GET and statement.kind is not StatementKind.EMPTY:
        message = "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly"
        raise ClickHouseError(164, "READONLY", f"{message}. You should use method POST for modifying queries")
    found = list(tokens(statement.head))
    _refuse_several(found)
    _refuse_host_files(found)
    if statement.verb == b"INSERT" and statement.kind is StatementKind.OTHER:
        _refuse_input_function(found)
    if statement.verb == b"SYSTEM":
        _refuse_shutdown(found)
    if statement.verb in _DEFINING:
        _refuse_stream_engine(found)
    absent.refuse(found)


def _refuse_several(found: list[Token]) -> None:
    seen_end = False
    for token in found:
        if seen_end and token.text != b";":
            raise ClickHouseError(62, "SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed)")
        seen_end = seen_end or token.text == b";"


def _refuse_host_files(found: list[Token]) -> None:
    for before, token in pairwise(found):
        if before.upper == b"INTO" and token.upper == b"OUTFILE":
            raise ClickHouseError(358, "INTO_OUTFILE_NOT_ALLOWED", "INTO OUTFILE is not allowed")
        if before.upper == b"FROM" and token.upper == b"INFILE":
            raise ClickHouseError(78, "UNKNOWN_TYPE_OF_QUERY", "FROM INFILE is read by a client, send the rows instead")


def _refuse_input_function(found: list[Token]) -> None:
    for token, after in pairwise(found):
        if token.upper == b"INPUT" and after.text == b"(":
            message = "The embedded engine cannot read rows through input(): insert into a table, then select from it"
            raise ClickHouseError(48, "NOT_IMPLEMENTED", message)


def _refuse_shutdown(found: list[Token]) -> None:
    words = [token.upper for token in found[:2]]
    if words in ([b"SYSTEM", b"SHUTDOWN"], [b"SYSTEM", b"KILL"]):
        raise ClickHouseError(344, "SUPPORT_IS_DISABLED", "Stop the process with SIGTERM instead", status=400)


def _refuse_stream_engine(found: list[Token]) -> None:
    for name in absent.engines(found):
        if name.lower() in STREAM_ENGINES:
            message = (
                f"Engine {name} is refused by the embedded engine: it would store the table's definition, fail, and "
                "never open this data folder again. Consume the stream outside and insert, or use a real server"
            )
            raise ClickHouseError(344, "SUPPORT_IS_DISABLED", message, status=400)
