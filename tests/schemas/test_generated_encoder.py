"""Generated encoders, held byte for byte to fastavro's writer over generated schemas."""

from __future__ import annotations

import ast
import io
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError
from schemas import framing
from schemas.codegen.encoder import _Varints, compile_encoder, varint
from schemas.registry import Schema, bundled

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
# Names that Python or the generated code has a use for.
AWKWARD = ["class", "def", "None", "join", "varint", "HEAD", "V", "encode", "a", "a_", "_"]
NAMES = st.sampled_from(AWKWARD) | st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
TYPES = st.sampled_from([*VALUES, {"type": "string"}, {"type": "long", "logicalType": "timestamp-millis"}])


def schema_of(fields: list[dict[str, Any]], schema_id: int = 1) -> Schema:
    source = {"type": "record", "name": "Generated", "fields": fields}
    # `plain` is what the registry makes of it: timestamps as the integers they are stored as.
    flat = [{"name": f["name"], "type": kind(f["type"])} for f in fields]
    plain = fastavro.parse_schema({**source, "fields": flat}, named_schemas={})
    return Schema("generated", 1, schema_id, source, plain, plain)


def kind(avro: Any) -> str:
    return str(avro["type"] if isinstance(avro, dict) else avro)


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
    names = [field["name"] for field in schema.source["fields"]]
    for row in rows:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema.plain, dict(zip(names, row, strict=True)))
        assert encode(*row) == framing.prefix(schema.id) + out.getvalue()


@pytest.mark.parametrize("subject", ["event", "raw_envelope"])
def test_the_encoders_in_use_equal_fastavro(subject: str) -> None:
    schema = bundled().get(subject, 1)
    encode = compile_encoder(schema).encode
    rows = st.tuples(*(VALUES[kind(field["type"])] for field in schema.source["fields"]))

    @given(rows)
    def holds(row: tuple[Any, ...]) -> None:
        out = io.BytesIO()
        named = dict(zip((f["name"] for f in schema.source["fields"]), row, strict=True))
        fastavro.schemaless_writer(out, schema.plain, named)
        assert encode(*row) == framing.prefix(schema.id) + out.getvalue()

    holds()


@given(INT64)
def test_varint_equals_fastavro(value: int) -> None:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, "long", value)
    assert varint(value) == out.getvalue()


@pytest.mark.parametrize(
    "avro",
    [
        "null",
        "double",
        ["null", "string"],
        {"type": "array", "items": "int"},
        {"type": "map", "values": "int"},
        {"type": "enum", "name": "E", "symbols": ["a"]},
        {"type": "record", "name": "Q", "fields": []},
        {"type": "fixed", "name": "F", "size": 2},
        {"type": ["null", "int"]},
    ],
    ids=repr,
)
def test_a_nested_type_is_refused(avro: Any) -> None:
    source = {"type": "record", "name": "R", "fields": [{"name": "a", "type": avro}]}
    with pytest.raises(ConfigError, match="no generated encoder"):
        compile_encoder(Schema("r", 1, 1, source, None, None))


def test_the_generated_code_can_be_read() -> None:
    source = compile_encoder(bundled().get("event", 1)).source
    (function,) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)
    names = [field["name"] for field in bundled().get("event", 1).source["fields"]]
    assert [argument.arg.rstrip("_") for argument in function.args.args] == names


def test_the_memo_of_lengths_is_bounded() -> None:
    memo = _Varints()
    for value in range(_Varints._LIMIT + 100):
        assert memo[value] == varint(value)
    assert len(memo) == _Varints._LIMIT
