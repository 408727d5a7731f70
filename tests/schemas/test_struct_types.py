"""Avro records as types that validate JSON: every Avro type, bounds, defaults, unknown fields."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from core.errors import ConfigError
from schemas.codegen.parse import parse
from schemas.codegen.structs import decoder_of, struct_type, struct_types

INNER = {"type": "record", "name": "Inner", "unknown": "reject", "fields": [{"name": "x", "type": "int"}]}
ABSENT = object()


def decoder(*fields: dict[str, Any], **attributes: Any) -> msgspec.json.Decoder[Any]:
    schema = {"type": "record", "name": "R", "fields": list(fields), **attributes}
    return decoder_of(struct_type(schema))


def judge(avro: Any, value: Any, **beside: Any) -> Any:
    """What a field `a` of type `avro` becomes when the JSON holds `value`."""
    text = "{}" if value is ABSENT else json.dumps({"a": value})
    return decoder({"name": "a", "type": avro, **beside}).decode(text).a


MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
DATE = {"type": "int", "logicalType": "date"}
UUID = {"type": "string", "logicalType": "uuid"}
UUID_16 = {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}
MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}
AN_ID = "0b3a1f60-7d0e-4a53-9d2f-1f1f0f0e0d0c"
NOON = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)

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
    (["boolean", "long", "string", {"type": "map", "values": "int"}], {"k": 1}),
    (["boolean", "long", "string", {"type": "map", "values": "int"}], True),
    (["int"], 1),
    (["null", MILLIS], None),
    (MICROS, 1_700_000_000_000_000),
    (DATE, 20_000),
    (UUID, AN_ID),
    (UUID, AN_ID.upper()),
    (UUID_16, AN_ID),
    ({"type": "string", "allowed": ["a", "b"]}, "b"),
    ({"type": "int", "logicalType": "of-our-own"}, 1),
]

# JSON that is read as something else than what it is.
READ: list[tuple[Any, Any, Any]] = [
    ("bytes", "AP8=", b"\0\xff"),
    ({"type": "bytes"}, "", b""),
    ({"type": "fixed", "name": "F", "size": 2}, "AP8=", b"\0\xff"),
    ({"type": "array", "items": "bytes"}, ["AA=="], [b"\0"]),
    (["null", "bytes"], "AA==", b"\0"),
    (MILLIS, "2026-01-31T12:00:00Z", NOON),
    (MILLIS, "2026-01-31T13:30:00.000+01:30", NOON),
    (MICROS, "2026-01-31T12:00:00Z", NOON),
    (["null", MILLIS], "2026-01-31T12:00:00Z", NOON),
    (DATE, "2026-01-31", NOON.date()),
    (MONEY, "1.50", Decimal("1.50")),
    (MONEY, "-999.99", Decimal("-999.99")),
    (MONEY, "0", Decimal(0)),
    (MONEY, 7, Decimal(7)),
    (MONEY, 1.5, Decimal("1.5")),
    (MONEY, 1e2, Decimal(100)),
    (["null", MONEY], 0.25, Decimal("0.25")),
    ({**MONEY, "type": "fixed", "name": "M", "size": 3}, "1.50", Decimal("1.50")),
]

_NOT_MONEY: list[Any] = [1000, -1000, 1.555, 1e3, 10**400, True, None, [], {}]
NO_MONEY: list[Any] = [
    *("1.555", "1000", "1000.00", "1_0", " 1", "+1", "1.", ".5", "01", "1e1", "NaN", "", "\u0661"),
    *(1000, -1000, 1.555, 1e3, 10**400, True, None, [], {}),
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
    (["boolean", "long", {"type": "map", "values": "int"}], "x"),
    ("float", 1e39),
    ("bytes", "AP8"),
    ("bytes", "A P8="),
    ("bytes", "__8="),
    ("bytes", [0]),
    ({"type": "fixed", "name": "F", "size": 2}, "AA=="),
    ({"type": "fixed", "name": "F", "size": 2}, "AAAA"),
    (MILLIS, "2026-01-31T12:00:00"),
    (MILLIS, "2026-01-31"),
    (MILLIS, "2026-02-30T12:00:00Z"),
    (MILLIS, "1769860800000"),
    (MILLIS, 1.5),
    (MILLIS, 2**63),
    (DATE, "2026-1-31"),
    (DATE, "2026-02-30"),
    (DATE, "2026-01-31T12:00:00Z"),
    (DATE, 2**31),
    (UUID, AN_ID.replace("-", "")),
    (UUID, f"{{{AN_ID}}}"),
    (UUID, f"{AN_ID}\n"),
    (UUID, AN_ID[:-1] + "g"),
    (UUID_16, AN_ID[:-1]),
    ({"type": "string", "allowed": ["a", "b"]}, "c"),
    *((MONEY, value) for value in NO_MONEY),
]


@pytest.mark.parametrize(("avro", "value"), VALID, ids=repr)
def test_a_value_of_the_type_is_taken(avro: Any, value: Any) -> None:
    read = judge(avro, value)
    assert read == value
    assert type(read) is type(value) or avro == "double"


@pytest.mark.parametrize(("avro", "value", "expected"), READ, ids=repr)
def test_text_is_read_as_what_it_stands_for(avro: Any, value: Any, expected: Any) -> None:
    assert judge(avro, value) == expected


@pytest.mark.parametrize(
    "number", ["1e999999999999999999999", "-1e999999999999999999999", "1" * 9_000, "1e-99999999999", "1e99"]
)
def test_no_exponent_of_a_decimal_takes_long(number: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"decimal|out of range"):
        decoder({"name": "a", "type": MONEY}).decode(f'{{"a": {number}}}')


@pytest.mark.parametrize(("avro", "value"), INVALID, ids=lambda value: repr(value)[:60])
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
        ({"type": "array", "items": "int"}, {"maxItems": 2}, [[], [1, 2]], [[1, 2, 3]]),
        ({"type": "array", "items": "string", "maxItems": 1}, {"maxLength": 1}, [["long"]], [["a", "b"]]),
        (["null", {"type": "map", "values": "int"}], {"maxItems": 1}, [None, {"a": 1}], [{"a": 1, "b": 2}]),
        ("string", {"allowed": ["a", "bb"], "minLength": 2}, ["bb"], ["a", "cc"]),
        (["null", "string"], {"allowed": ["a"]}, [None, "a"], ["b"]),
        ("int", {"minimum": 1, "logicalType": "date"}, [1], ["2026-01-31"]),
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


TIMES: list[tuple[Any, dict[str, Any], list[Any], list[Any]]] = [
    (
        MILLIS,
        {"minimum": 0},
        [0, "1970-01-01T00:00:00Z", "1970-01-01T01:00:00+01:00"],
        [-1, "1969-12-31T23:59:59.999Z"],
    ),
    (MILLIS, {"maximum": 5}, ["1970-01-01T00:00:00.005Z"], [6, "1970-01-01T00:00:00.006Z"]),
    (MICROS, {"maximum": 5}, ["1970-01-01T00:00:00.000005Z"], [6, "1970-01-01T00:00:00.000006Z"]),
    (DATE, {"minimum": 1}, [1, "1970-01-02"], [0, "1970-01-01"]),
    (["null", DATE], {"minimum": 1}, [None, "1970-01-02"], ["1970-01-01", "text"]),
    (MONEY, {"minimum": 0}, ["0", 0.5], ["-0.01", -1]),
    (["null", MONEY], {"maximum": 9.5}, [None, "9.50"], ["9.51"]),
]


@pytest.mark.parametrize(("avro", "beside", "inside", "outside"), TIMES, ids=repr)
def test_bounds_hold_for_text_too(avro: Any, beside: dict[str, Any], inside: list[Any], outside: list[Any]) -> None:
    for value in inside:
        judge(avro, value, **beside)
    for value in outside:
        with pytest.raises(msgspec.ValidationError, match=r"at `\$\.a`"):
            judge(avro, value, **beside)


@pytest.mark.parametrize(
    ("avro", "default", "value"),
    [
        ("bytes", "\u00ff", b"\xff"),
        ({"type": "fixed", "name": "F", "size": 2}, "\u0000\u00ff", b"\0\xff"),
        (MONEY, "\u0001", Decimal("0.01")),
        (MONEY, "\u00ff", Decimal("-0.01")),
        (UUID_16, "\u0000" * 16, "00000000-0000-0000-0000-000000000000"),
        (["bytes", "null"], "a", b"a"),
        ({"type": "array", "items": "bytes"}, ["a"], [b"a"]),
        ({"type": "map", "values": ["null", MONEY]}, {"k": "\u0001"}, {"k": Decimal("0.01")}),
        ("double", 1, 1.0),
        (MILLIS, 0, 0),
    ],
    ids=repr,
)
def test_a_default_is_read_as_avro_writes_it(avro: Any, default: Any, value: Any) -> None:
    assert judge(avro, ABSENT, default=default) == value


@pytest.mark.parametrize("name", ["class", "None", "__init__", "__x", "__struct_fields__", "_", "self", "type"])
def test_a_field_may_have_any_name(name: str) -> None:
    read = decoder({"name": name, "type": "int"}, {"name": f"{name}_", "type": "int"})
    event = read.decode(json.dumps({name: 1, f"{name}_": 2}))
    assert sorted(getattr(event, attribute) for attribute in event.__struct_fields__) == [1, 2]


def test_types_are_named_again() -> None:
    schema = {
        "type": "record",
        "name": "Outer",
        "namespace": "a.b",
        "fields": [
            {"name": "x", "type": {"type": "enum", "name": "E", "symbols": ["s"]}},
            {"name": "y", "type": "E"},
            {"name": "z", "type": ["null", "a.b.E"]},
            {"name": "r", "type": {"type": "record", "name": "other.R", "fields": [{"name": "e", "type": "a.b.E"}]}},
            {"name": "again", "type": {"type": "array", "items": "other.R"}},
        ],
    }
    read = decoder_of(struct_type(schema)).decode
    event = read(b'{"x":"s","y":"s","z":"s","r":{"e":"s"},"again":[{"e":"s"}]}')
    assert event.again[0] == event.r
    with pytest.raises(msgspec.ValidationError, match=r"\$\.again\[0\]\.e"):
        read(b'{"x":"s","y":"s","z":"s","r":{"e":"s"},"again":[{"e":"t"}]}')


def test_a_record_may_hold_itself() -> None:
    tree = {
        "type": "record",
        "name": "Tree",
        "fields": [
            {"name": "v", "type": "int"},
            {"name": "kids", "type": {"type": "array", "items": "Tree"}, "default": []},
            {"name": "next", "type": ["null", "Tree"], "default": None},
        ],
    }
    for type_ in struct_types(parse(tree)):
        event = decoder_of(type_).decode(b'{"v":1,"kids":[{"v":2,"next":{"v":3}}]}')
        assert event.kids[0].next.v == 3
        with pytest.raises(msgspec.ValidationError, match=r"\$\.kids\[0\]\.next\.v"):
            decoder_of(type_).decode(b'{"v":1,"kids":[{"v":2,"next":{"v":""}}]}')


def test_the_strict_form_refuses_what_is_not_declared_at_any_depth() -> None:
    inner = {"type": "record", "name": "I", "unknown": "open", "fields": [{"name": "x", "type": "int"}]}
    types = struct_types(parse({"type": "record", "name": "R", "fields": [{"name": "a", "type": inner}]}))
    for text in (b'{"a":{"x":1,"y":2}}', b'{"a":{"x":1},"b":2}'):
        decoder_of(types.lenient).decode(text)
        with pytest.raises(msgspec.ValidationError, match="unknown field"):
            decoder_of(types.strict).decode(text)
    assert isinstance(decoder_of(types.strict).decode(b'{"a":{"x":1}}'), types.lenient)


@pytest.mark.parametrize(
    ("avro", "words"),
    [
        ("Elsewhere", "cannot be validated"),
        (None, "cannot be validated"),
        ({"type": "long", "logicalType": "time-micros"}, "time-micros"),
        ({"type": "long", "logicalType": "local-timestamp-millis"}, "local-timestamp-millis"),
        ({"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"}, "duration"),
        (["int", "long"], "apart"),
        (["int", "double"], "apart"),
        (["string", "bytes"], "apart"),
        (["string", MILLIS], "apart"),
        ([MILLIS, "double"], "apart"),
        ([{"type": "map", "values": "int"}, INNER], "apart"),
        (["null", {"type": "string", "logicalType": "json"}], "apart"),
        (["null", "null"], "apart"),
        ([], "union"),
        ([["null"]], "union"),
        (["boolean", MONEY], "null alone"),
        ([UUID, {"type": "array", "items": "int"}], "no union with an array"),
        ({"type": "enum", "name": "E", "symbols": []}, "symbols"),
        ({"type": "enum", "name": "E", "symbols": ["a"], "default": "b"}, "default"),
        ({"type": "fixed", "name": "F"}, "size"),
        ({"type": "array"}, "'items' is missing"),
        ({"type": "bytes", "logicalType": "decimal"}, "precision"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 1, "scale": 2}, "precision"),
        ({"type": "fixed", "name": "F", "size": 1, "logicalType": "decimal", "precision": 3}, "3 digits"),
        ({"type": "record", "name": "R", "fields": []}, "twice"),
        ({"type": "record", "name": "Q", "fields": [], "unknown": "drop"}, "keep, reject or open"),
        ({"type": "record", "name": "Q", "fields": [{"name": "x", "type": "int"}] * 2}, "twice"),
        ({"type": "string", "allowed": []}, "no value is allowed"),
        ({"type": "string", "maxLength": -1}, "whole number"),
        ({"type": "int", "minimum": 0.5}, "integer"),
        ({"type": "int", "minimum": 2, "maximum": 1}, "no value"),
        ({"type": "double", "minimum": "0"}, "number"),
    ],
    ids=repr,
)
def test_what_cannot_be_validated_is_refused_with_its_path(avro: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        decoder({"name": "ok", "type": "int"}, {"name": "a", "type": {"type": "array", "items": avro}})
    assert refused.value.message.startswith("$.a[]")


@pytest.mark.parametrize(
    ("avro", "default"),
    [
        ("int", None),
        ("int", "1"),
        ("bytes", "€"),
        (["null", "int"], "x"),
        ({"type": "array", "items": "int"}, [""]),
        (INNER, {}),
    ],
    ids=repr,
)
def test_a_default_of_another_type_is_refused(avro: Any, default: Any) -> None:
    with pytest.raises(ConfigError, match=r"^\$\.a: the default"):
        decoder({"name": "a", "type": avro, "default": default})


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(ConfigError, match="not an Avro record"):
        struct_type({"type": "array", "items": "int"})
