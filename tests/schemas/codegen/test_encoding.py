"""Encoders of every type, held byte for byte to fastavro over generated schemas and values."""

from __future__ import annotations

import ast
import base64
import io
import json
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codegen import model
from schemas.codegen.compiled import compile_record
from schemas.codegen.encoder import compile_struct_encoder
from schemas.codegen.parse import parse
from schemas.codegen.structs import decoder_of, struct_types
from tests.schemas.codegen.strategies import native, schemas, values, written_by_fastavro


@st.composite
def schemas_and_events(draw: st.DrawFn) -> tuple[dict[str, Any], list[Any]]:
    schema = draw(schemas())
    return schema, draw(st.lists(values(parse(schema)), min_size=1, max_size=3))


@given(schemas_and_events())
@settings(max_examples=300)
def test_equal_to_fastavro(drawn: tuple[dict[str, Any], list[Any]]) -> None:
    schema, events = drawn
    record = parse(schema)
    types = struct_types(record)
    encode = compile_struct_encoder(record).encode
    for event in events:
        data = json.dumps(event).encode()
        expected = None
        for type_ in types:
            struct = decoder_of(type_).decode(data)
            expected = expected or written_by_fastavro(schema, native(record, struct))
            assert encode(struct) == expected


@pytest.mark.parametrize("value", ["", "AA=="])
def test_bytes_are_no_array(value: str) -> None:
    """fastavro takes empty bytes for an empty array where a union has both."""
    schema = {
        "type": "record",
        "name": "R",
        "fields": [{"name": "a", "type": [{"type": "array", "items": "int"}, "bytes"]}],
    }
    compiled = compile_record(schema)
    encoded = compiled.encode(compiled.decode(json.dumps({"a": value}).encode()))
    read = fastavro.schemaless_reader(io.BytesIO(encoded), fastavro.parse_schema(schema, named_schemas={}))
    assert read == {"a": base64.b64decode(value)}


@given(schemas_and_events())
def test_the_code_can_be_printed(drawn: tuple[dict[str, Any], list[Any]]) -> None:
    source = compile_record(drawn[0]).source
    ast.parse(source.split("# While all", 1)[-1].split("# Always right.", 1)[-1])
    assert all(f"class {each.short_name}(Struct)" in source for each in records_of(drawn[0]))


def records_of(schema: dict[str, Any]) -> list[model.Record]:
    return [each for each in model.walk(parse(schema)) if isinstance(each, model.Record)]
