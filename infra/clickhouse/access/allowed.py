"""What a reader may send: what the engine's grants leave open is closed here.

    reading only      SELECT, SHOW of tables and columns, DESCRIBE, EXISTS; EXPLAIN for analysts, because its estimates
                      count rows of all tenants
    functions         `file` reads the host, the AI functions call out; of table functions only those that make rows
                      of nothing (`merge` sees other databases, `eval` runs text that no rule has read)
    system tables     those that describe the engine; not statements of others, errors, parts or caches
    settings          of how a result looks and how long it may take; `readonly` holds from there on
    formats           without progress for tenants: it counts rows that were read, not only theirs

Names are compared as the engine reads them. A quoted name with a backslash could be read otherwise and is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Final

from infra.clickhouse.access.users import Identity, Role
from infra.clickhouse.errors import ClickHouseError
from infra.clickhouse.lexer import Kind, Token, tokens
from infra.clickhouse.sql_text import identifier
from infra.clickhouse.statement import Statement, StatementKind

_VERBS: Final = frozenset({b"SELECT", b"WITH", b"FROM", b"SHOW", b"DESCRIBE", b"DESC", b"EXISTS", b"EXPLAIN"})
_SHOWN: Final = frozenset({
    b"TABLES", b"DATABASES", b"COLUMNS", b"FIELDS", b"CREATE", b"FUNCTIONS", b"FULL", b"EXTENDED", b"SETTINGS",
})  # fmt: skip
_TABLE_FUNCTIONS: Final = frozenset({
    "format", "generaterandom", "generateseries", "generate_series", "null", "numbers", "numbers_mt", "primes",
    "values", "view", "zeros", "zeros_mt",
})  # fmt: skip
_FUNCTIONS: Final = re.compile(
    r"file|filesystem\w*|joinget\w*|dictget\w*|dicthas|dictisin|ai(?:classify|embed|extract|filter|generate|redact|"
    r"similarity|translate)|catboost\w*|getclienthttpheader|getserversetting|getserverport|getmacro|showcertificate|"
    r"logtrace|hascolumnintable|zookeeper\w*|addressto\w+"
)
_SYSTEM_TABLES: Final = frozenset({
    "aggregate_function_combinators", "build_options", "collations", "columns", "contributors", "current_roles",
    "data_type_families", "databases", "enabled_roles", "formats", "functions", "keywords", "licenses", "numbers",
    "numbers_mt", "one", "settings", "table_functions", "tables", "time_zones", "zeros", "zeros_mt",
})  # fmt: skip
_SYSTEM_DATABASES: Final = frozenset({"system", "pg_catalog"})
_SETTINGS: Final = re.compile(
    r"output_format_(?!schema|image)\w+|date_time_(?:in|out)put_format|max_execution_time|max_threads|max_block_size|"
    r"max_result_rows|max_result_bytes|result_overflow_mode|timeout_overflow_mode|join_use_nulls|extremes|"
    r"session_timezone|log_comment|readonly|compress_block_size|async_insert|wait_for_async_insert"
)


def check(statement: Statement, *, identity: Identity, table_functions: frozenset[str]) -> None:
    """Raises ACCESS_DENIED or READONLY. `table_functions` are the engine's, in small letters."""
    if statement.kind is not StatementKind.READ or statement.verb not in _VERBS:
        raise _readonly(f"{identity.user}: Cannot execute query in readonly mode. Readers may only read")
    if statement.verb == b"EXPLAIN" and identity.role is Role.TENANT:
        raise _denied("EXPLAIN, which counts rows of all tenants")
    found = list(tokens(statement.head))
    words = [token.upper for token in found if token.kind is Kind.WORD]
    if words[0] == b"SHOW" and (len(words) < 2 or words[1] not in _SHOWN):
        raise _denied("this SHOW")
    for token in found:
        if token.kind is Kind.OPEN or (token.kind is Kind.QUOTED and b"\\" in token.text):
            raise _denied("a name with a backslash, or one that does not end")
    for token, after in pairwise(found):
        name = token.name.lower()
        if token.text == b":" and after.upper == b"IDENTIFIER":
            raise _denied("parameters that stand for names")  # they would pass all rules below unseen
        if after.text == b"(" and _is_closed(name, table_functions):
            raise _denied(f"the function {token.name}")
    _check_databases(found)


def check_settings(settings: Mapping[str, str]) -> None:
    for name in settings:
        if not _SETTINGS.fullmatch(name):
            raise _readonly(f"Cannot modify '{name}' setting in readonly mode")


def check_format(form: str, *, identity: Identity) -> None:
    if identity.role is Role.TENANT and form.lower().endswith("progress"):
        raise _denied(f"the format {form}, which counts rows of all tenants")


def with_own_database(statement: Statement, *, database: str, own: str) -> Statement:
    """`sluice.events` means the view of the role; the pipeline's own tables are not the reader's."""
    text = bytearray(statement.head)
    qualified = [
        token for token, after in pairwise(tokens(statement.head)) if token.name == database and after.text == b"."
    ]
    for token in reversed(qualified):
        text[token.start : token.end] = identifier(own).encode()
    return replace(statement, head=bytes(text))


def _is_closed(name: str, table_functions: Iterable[str]) -> bool:
    return (name in table_functions and name not in _TABLE_FUNCTIONS) or _FUNCTIONS.fullmatch(name) is not None


def _check_databases(found: list[Token]) -> None:
    for index, token in enumerate(found):
        if token.name.lower() not in _SYSTEM_DATABASES:
            continue
        after = found[index + 1 : index + 3]
        if len(after) < 2 or after[0].text != b".":
            continue
        table = after[1].name.lower()
        if token.name.lower() != "system" or table not in _SYSTEM_TABLES:
            raise _denied(f"{token.name}.{after[1].name}")


def _denied(what: str) -> ClickHouseError:
    return ClickHouseError(497, "ACCESS_DENIED", f"Not enough privileges: readers may not use {what}")


def _readonly(message: str) -> ClickHouseError:
    return ClickHouseError(164, "READONLY", message)
