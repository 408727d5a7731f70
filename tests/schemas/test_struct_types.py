"""Avro records as types that validate JSON: every Avro type, bounds, defaults, unknown fields."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from core.errors import ConfigError
from schemas.codegen.structs import struct_type

INNER = {"type": "record", "name": "Inner", "unknown": "reject", "fields": [{"name": "x", "type": "int"}]}
ABSENT = object()


def decoder(*fields: dict[str, Any], **attributes: Any) -> msgspec.json.Decoder[Any]:
    schema = {"type": "record", "name": "R", "fields": list(fields), **attributes}
    return msgspec.json.Decoder(struct_type(schema))


def judge(avro: Any, value: Any, **beside: Any) -> Any:
    """What a field `a` of type `avro` becomes when the JSON holds `value`."""
    text = "{}" if value is ABSENT else json.dumps({"a": value})
    return decoder({"name": "a", "type": avro, **beside}).decode(text).a


VALID: list[tuple[Any, Any]] = [
    ("null", None),
    ("boolean", True),
    ("int", 2**31 - 1),
    ("int", -(2**31)),
    ("long", 2**63 - 1),
    ("long", -(2**63)),
    ("float", 1.5),
    ("double", -2.5e300),
    ("double", 3),
    ("string", ""),
    ("string", "a\0é漢🙂"),
    ({"type": "string"}, "x"),
    ({"type": "long", "logicalType": "timestamp-millis"}, 1_700_000_000_000),
    ({"type": "enum", "name": "E", "symbols": ["a", "b"]}, "b"),
    ({"type": "array", "items": "int"}, [1, 2]),
    ({"type": "array", "items": {"type": "array", "items": "string"}}, [["a"], []]),
    ({"type": "map", "values": "long"}, {"k": 1}),
    ({"type": "map", "values": {"type": "array", "items": "boolean"}}, {"k": [True]}),
    (["null", "string"], None),
    (["null", "string"], "x"),
    (["int", "string"], "x"),
    (["null", {"type": "enum", "name": "E", "symbols": ["a"]}], "a"),
    (["null", {"type": "array", "items": "int"}], [1]),
]

INVALID: list[tuple[Any, Any]] = [
    ("null", 0),
    ("boolean", 1),
    ("int", 2**31),
    ("int", -(2**31) - 1),
    ("int", 1.0),
    ("int", True),
    ("int", "1"),
    ("int", None),
    ("long", 2**63),
    ("long", -(2**63) - 1),
    ("long", 10**30),
    ("double", "1.5"),
    ("string", 1),
    ("string", None),
    ({"type": "enum", "name": "E", "symbols": ["a", "b"]}, "c"),
    ({"type": "enum", "name": "E", "symbols": ["a", "b"]}, 0),
    ({"type": "array", "items": "int"}, [1, "2"]),
    ({"type": "array", "items": "int"}, {"0": 1}),
    ({"type": "map", "values": "long"}, {"k": "1"}),
    ({"type": "map", "values": "long"}, [1]),
    (["null", "string"], 1),
    (["int", "string"], 1.5),
    (["null", {"type": "enum", "name": "E", "symbols": ["a"]}], "b"),
    (INNER, {}),
    (INNER, {"x": "1"}),
    (INNER, {"x": 1, "y": 2}),
    (INNER, [1]),
]


@pytest.mark.parametrize(("avro", "value"), VALID, ids=repr)
def test_a_value_of_the_type_is_taken(avro: Any, value: Any) -> None:
    read = judge(avro, value)
    assert read == value
    assert type(read) is type(value) or avro == "double"


@pytest.mark.parametrize(("avro", "value"), INVALID, ids=repr)
def test_a_value_of_another_type_is_refused(avro: Any, value: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        judge(avro, value)


def test_a_record_may_hold_a_record() -> None:
    assert judge(INNER, {"x": 7}).x == 7
    assert judge(["null", INNER], None) is None
    assert judge(["null", INNER], {"x": 7}).x == 7
    assert judge({"type": "array", "items": INNER}, [{"x": 1}, {"x": 2}])[1].x == 2


def test_json_is_kept_as_it_came() -> None:
    raw = decoder({"name": "a", "type": {"type": "string", "logicalType": "json"}}).decode('{"a": {"b" : 1.50}}').a
    assert bytes(raw) == b'{"b" : 1.50}'


@pytest.mark.parametrize(
    ("avro", "beside", "inside", "outside"),
    [
        ("int", {"minimum": 100, "maximum": 599}, [100, 599], [99, 600]),
        ("long", {"minimum": 0}, [0, 2**63 - 1], [-1]),
        ("long", {"maximum": 5}, [-(2**63), 5], [6]),
        ("int", {"minimum": -(2**40)}, [-(2**31)], [-(2**31) - 1]),
        ("double", {"minimum": 0, "maximum": 1}, [0, 0.5, 1], [-0.01, 1.01]),
        ("string", {"minLength": 1, "maxLength": 3}, ["a", "äöü"], ["", "abcd"]),
        ("string", {"maxLength": 1}, ["", "🙂"], ["ab"]),
        (["null", "int"], {"minimum": 3}, [None, 3], [2]),
        (["null", "string"], {"minLength": 1}, [None, "x"], [""]),
        ({"type": "string", "minLength": 2}, {}, ["ab"], ["a"]),
        ({"type": "array", "items": {"type": "int", "minimum": 3}}, {}, [[], [3]], [[2]]),
    ],
    ids=repr,
)
def test_bounds_hold(avro: Any, beside: dict[str, Any], inside: list[Any], outside: list[Any]) -> None:
    for value in inside:
        assert judge(avro, value, **beside) == value
    for value in outside:
        with pytest.raises(msgspec.ValidationError):
            judge(avro, value, **beside)


@pytest.mark.parametrize(
    ("avro", "default"),
    [
        ("string", ""),
        ("int", 5),
        (["null", "string"], None),
        ({"type": "enum", "name": "E", "symbols": ["a"]}, "a"),
        ({"type": "array", "items": "int"}, []),
        ({"type": "array", "items": "int"}, [1, 2]),
        ({"type": "map", "values": "int"}, {"k": 1}),
    ],
    ids=repr,
)
def test_a_default_stands_for_a_missing_field(avro: Any, default: Any) -> None:
    assert judge(avro, ABSENT, default=default) == default


def test_a_default_record_is_of_the_records_type() -> None:
    assert judge(INNER, ABSENT, default={"x": 4}).x == 4


def test_two_events_do_not_share_a_default() -> None:
    read = decoder({"name": "a", "type": {"type": "array", "items": "int"}, "default": [1]}).decode
    read("{}").a.append(2)
    assert read("{}").a == [1]


def test_without_a_default_a_field_is_required() -> None:
    with pytest.raises(msgspec.ValidationError, match="missing required field `a`"):
        judge(["null", "string"], ABSENT)


def test_a_record_says_what_happens_to_unknown_fields() -> None:
    keep, reject = decoder(unknown="keep"), decoder(unknown="reject")
    assert keep.decode('{"b": 1}') is not None
    assert decoder().decode('{"b": 1}') is not None
    with pytest.raises(msgspec.ValidationError, match="unknown field `b`"):
        reject.decode('{"b": 1}')


@pytest.mark.parametrize(
    "avro",
    [
        "bytes",
        "Elsewhere",
        {"type": "bytes"},
        {"type": "fixed", "name": "F", "size": 2},
        {"type": "array", "items": "bytes"},
        {"type": "map", "values": "bytes"},
        ["null", "bytes"],
        {"type": "record", "name": "Q", "fields": [{"name": "b", "type": "bytes"}]},
    ],
    ids=repr,
)
def test_what_has_no_json_form_is_refused(avro: Any) -> None:
    with pytest.raises(ConfigError, match="cannot be validated from JSON"):
        decoder({"name": "a", "type": avro})
