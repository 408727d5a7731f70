"""Generated encoders, held byte for byte to fastavro's writer over generated schemas."""

from __future__ import annotations

import ast
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import framing
from schemas.codegen.encoder import compile_encoder, varint
from schemas.codegen.varints import _LIMIT, Memo, for_bytes, for_text
from schemas.registry import Schema, bundled
from tests.schemas.codegen.strategies import NAMES

INT64 = st.integers(-(2**63), 2**63 - 1) | st.sampled_from(
    [0, -1, 63, 64, -64, -65, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63)]
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(max_size=200) | st.text("\0é漢🙂\x7f", max_size=80),
    "bytes": st.binary(max_size=200),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": INT64,
}
TYPES = st.sampled_from([*VALUES, {"type": "string"}, {"type": "long", "logicalType": "timestamp-millis"}])


def schema_of(fields: list[dict[str, Any]], schema_id: int = 1) -> Schema:
    source = {"type": "record", "name": "Generated", "fields": fields}
    # `plain` is what the registry makes of it: timestamps as the integers they are stored as.
    flat = [{"name": f["name"], "type": kind(f["type"])} for f in fields]
    plain = fastavro.parse_schema({**source, "fields": flat}, named_schemas={})
    return replace(bundled().get("event", 1), id=schema_id, source=source, resolved=source, plain=plain)


def kind(avro: Any) -> str:
    return str(avro["type"] if isinstance(avro, dict) else avro)


def framed(schema: Schema, row: Sequence[Any]) -> bytes:
    out = io.BytesIO()
    names = [field["name"] for field in schema.source["fields"]]
    fastavro.schemaless_writer(out, schema.plain, dict(zip(names, row, strict=True)))
    return framing.prefix(schema.id) + out.getvalue()


@st.composite
def schemas_and_rows(draw: st.DrawFn) -> tuple[Schema, list[list[Any]]]:
    names = draw(st.lists(NAMES, unique=True, max_size=8))
    fields = [{"name": name, "type": draw(TYPES)} for name in names]
    row = st.tuples(*(VALUES[kind(f["type"])] for f in fields)).map(list)
    return schema_of(fields, draw(st.integers(0, 2**32 - 1))), draw(st.lists(row, min_size=1, max_size=3))


@given(schemas_and_rows())
@settings(max_examples=150)
def test_equal_to_fastavro(drawn: tuple[Schema, list[list[Any]]]) -> None:
    schema, rows = drawn
    encode = compile_encoder(schema).encode
    for row in rows:
        assert encode(*row) == framed(schema, row)


def is_flat(schema: Schema) -> bool:
    return all(kind(field["type"]) in VALUES for field in schema.source["fields"])


@pytest.mark.parametrize("schema", [*filter(is_flat, bundled().schemas("record"))], ids=lambda schema: schema.label)
def test_the_encoders_in_use_equal_fastavro(schema: Schema) -> None:
    encode = compile_encoder(schema).encode
    rows = st.tuples(*(VALUES[kind(field["type"])] for field in schema.source["fields"]))

    @given(rows)
    def holds(row: tuple[Any, ...]) -> None:
        assert encode(*row) == framed(schema, row)

    holds()


@pytest.mark.parametrize(
    "text",
    ["plain", "é", "\x80", "漢字", "\0", '{"a": "b"}', "x" * 4_095, "x" * 4_096, "x" * 40_000],
    ids=lambda t: t[:9],
)
def test_either_form_is_right(text: str) -> None:
    schema = schema_of([{"name": name, "type": "string"} for name in "ab"])
    encode = compile_encoder(schema).encode
    for row in ([text, "a"], ["a", text], [text, text]):
        assert encode(*row) == framed(schema, row)


@given(INT64)
def test_varint_equals_fastavro(value: int) -> None:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, "long", value)
    assert varint(value) == out.getvalue()


def test_the_generated_code_can_be_read() -> None:
    source = compile_encoder(bundled().get("event", 1)).source
    functions = ast.parse(source).body
    names = [field["name"] for field in bundled().get("event", 1).source["fields"]]
    assert len(functions) == 2  # one for ASCII alone, one for any text
    for function in functions:
        assert isinstance(function, ast.FunctionDef)
        assert [argument.arg.rstrip("_") for argument in function.args.args] == names


@pytest.mark.parametrize("name", ["V", "HIGH"])
@pytest.mark.parametrize("names", [for_bytes, for_text])
def test_memos_are_bounded(names: Callable[[], dict[str, Any]], name: str) -> None:
    make = names()[name]._make
    fresh: Memo[Any] = Memo(make)
    for number in range(_LIMIT + 100):
        assert fresh[number] == make(number)
    assert len(fresh) <= _LIMIT
