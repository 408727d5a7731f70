"""`multipart/form-data`: form fields that are parameters, and parts that are external tables.

A part with a file name, or with a `<name>_structure`/`<name>_types` parameter, is a table; any other part is a
parameter of that name. The whole body is in memory here: its bound is the body's bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from itertools import pairwise

from infra.clickhouse import guards, statement
from infra.clickhouse.engine import Link
from infra.clickhouse.errors import ClickHouseError
from infra.clickhouse.lexer import tokens
from infra.clickhouse.request import is_own
from infra.clickhouse.sql_text import identifier


@dataclass(frozen=True, slots=True)
class ExternalTable:
    name: str
    structure: str
    form: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Form:
    fields: Mapping[str, str]
    files: Mapping[str, bytes]


def is_multipart(content_type: str) -> bool:
    return content_type.lower().startswith("multipart/form-data")


def parse(body: bytes, *, content_type: str, values: Mapping[str, str]) -> Form:
    head = b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n"
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    if not message.is_multipart():
        raise ClickHouseError(36, "BAD_ARGUMENTS", "The body is not multipart/form-data, or its boundary is missing")
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        data = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(data, bytes):
            continue
        described = f"{name}_structure" in values or f"{name}_types" in values
        if is_own(name) or (part.get_filename() is None and not described):
            fields[name] = data.decode("utf-8", "surrogateescape")
        else:
            files[name] = data
    return Form(fields, files)


def external_tables(form: Form, *, values: Mapping[str, str]) -> tuple[ExternalTable, ...]:
    return tuple(
        ExternalTable(name, _structure(name, values), values.get(f"{name}_format", "TabSeparated"), data)
        for name, data in form.files.items()
    )


def create(table: ExternalTable, *, link: Link) -> None:
    """As a temporary table, which only this connection sees."""
    sql = f"CREATE TEMPORARY TABLE {identifier(table.name)} ({table.structure}) ENGINE = Memory"
    guards.refuse(statement.parse(sql.encode("utf-8", "surrogateescape")))  # the structure is the client's own text
    link.query(sql)
    insert = link.insert(f"INSERT INTO {identifier(table.name)}", form=table.form)
    try:
        insert.append(table.data)
        insert.finish()
    except BaseException:
        insert.cancel()
        raise


def drop(table: ExternalTable, *, link: Link) -> None:
    link.query(f"DROP TEMPORARY TABLE IF EXISTS {identifier(table.name)}")


def _structure(name: str, values: Mapping[str, str]) -> str:
    if structure := values.get(f"{name}_structure"):
        return structure
    types = values.get(f"{name}_types")
    if not types:
        raise ClickHouseError(36, "BAD_ARGUMENTS", f"Neither {name}_structure nor {name}_types is given")
    return ", ".join(f"_{number} {kind}" for number, kind in enumerate(_split_types(types), start=1))


def _split_types(types: str) -> list[str]:
    """At commas outside of brackets: `Decimal(9, 2)` is one type."""
    text = types.encode()
    cuts = [token.start for token in tokens(text) if token.text == b"," and token.depth == 0]
    bounds = [-1, *cuts, len(text)]
    return [text[start + 1 : end].decode().strip() for start, end in pairwise(bounds)]
