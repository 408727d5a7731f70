"""Properties of older versions in the newest shape, held to fastavro's schema resolution."""

from __future__ import annotations

import copy
import io
import json
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError
from schemas.codegen.compiled import compile_record
from schemas.codegen.parse import parse
from schemas.codegen.reshape import compile_reshape, same
from schemas.registry import BUNDLED, Registry
from tests.schemas.codegen.strategies import schemas, values

# Not float to double: Avro rounded the float that it stored, JSON has all digits.
_WIDER = {"int": ["long", "float", "double"], "long": ["float", "double"], "string": ["bytes"]}


def record(*fields: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": list(fields), **attributes}


def field(name: str, avro: Any, **beside: Any) -> dict[str, Any]:
    return {"name": name, "type": avro, **beside}


def reshaped(old: dict[str, Any], new: dict[str, Any], event: Any) -> Any:
    return json.loads(compile_reshape(old, new)(json.dumps(event).encode()))


KINDS_1 = {"type": "enum", "name": "K", "symbols": ["a", "b", "c"]}
KINDS_2 = {"type": "enum", "name": "K", "symbols": ["c", "a", "other"], "default": "other"}
BYTES_16 = {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}
MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}

CASES: list[tuple[str, list[Any], list[Any], Any, Any]] = [
    ("rename", [field("a", "int")], [field("b", "int", aliases=["x", "a"])], {"a": 1}, {"b": 1}),
    ("drop", [field("a", "int"), field("b", "int")], [field("a", "int")], {"a": 1, "b": 2}, {"a": 1}),
    ("add", [], [field("a", "int", default=7)], {}, {"a": 7}),
    ("add null", [], [field("a", ["null", "int"], default=None)], {}, {}),
    ("add bytes", [], [field("a", "bytes", default="\u00ff")], {}, {"a": "/w=="}),
    ("add a decimal", [], [field("a", MONEY, default="\u0001")], {}, {"a": "0.01"}),
    ("undeclared", [field("a", "int")], [field("b", "int", aliases=["a"])], {"a": 1, "z": [1]}, {"b": 1, "z": [1]}),
    (
        "undeclared under the new name",
        [field("a", "int")],
        [field("b", "int", aliases=["a"]), field("c", ["null", "int"], default=None)],
        {"b": "unjudged", "a": 1, "c": "unjudged"},
        {"b": 1},
    ),
    ("promote", [field("a", "int")], [field("a", "double")], {"a": 1}, {"a": 1}),
    ("to a union", [field("a", "int")], [field("a", ["null", "double"])], {"a": 1}, {"a": 1}),
    ("text to bytes", [field("a", "string")], [field("a", "bytes")], {"a": "é"}, {"a": "w6k="}),
    ("symbol gone", [field("a", KINDS_1)], [field("a", KINDS_2)], {"a": "b"}, {"a": "other"}),
    ("symbol kept", [field("a", KINDS_1)], [field("a", KINDS_2)], {"a": "c"}, {"a": "c"}),
    ("symbols in a list", [field("a", {"type": "array", "items": KINDS_1})],
     [field("a", {"type": "array", "items": KINDS_2})], {"a": ["a", "b"]}, {"a": ["a", "other"]}),
    ("symbols in a map", [field("a", {"type": "map", "values": KINDS_1})],
     [field("a", {"type": "map", "values": KINDS_2})], {"a": {"x": "b", "é": "a"}}, {"a": {"x": "other", "é": "a"}}),
    ("symbols or null", [field("a", ["null", KINDS_1])], [field("a", [KINDS_2, "null"])], {"a": None}, {"a": None}),
    (
        "inside",
        [field("a", ["null", record(field("x", "int"), field("gone", "int"), name="I")])],
        [field("a", ["null", record(field("y", "long", aliases=["x"]), field("n", "int", default=1), name="I")])],
        {"a": {"x": 1, "gone": 2, "z": 3}},
        {"a": {"y": 1, "z": 3, "n": 1}},
    ),
    ("another default", [field("a", "int", default=1)], [field("a", "int", default=2)], {}, {"a": 1}),
    ("no default any more", [field("a", "int", default=1)], [field("a", "int")], {}, {"a": 1}),
    ("the same default", [field("a", "int", default=1), field("b", "int")], [field("a", "int", default=1)],
     {"b": 1}, {}),
    ("default of a symbol gone", [field("a", KINDS_1, default="b")], [field("a", KINDS_2, default="c")], {},
     {"a": "other"}),
    ("wider decimal", [field("a", MONEY)], [field("a", {**MONEY, "precision": 9})], {"a": 1.5}, {"a": 1.5}),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "event", "expected"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_each_change(old: list[Any], new: list[Any], event: Any, expected: Any) -> None:
    assert reshaped(record(*old), record(*new), event) == expected


def test_values_stay_as_they_were_written() -> None:
    reshape = compile_reshape(record(field("a", "double")), record(field("b", "double", aliases=["a"])))
    assert reshape(b'{"a": 1.50, "z": 1E2, "y": {"k" : 0.10}}') == b'{"b":1.50,"z":1E2,"y":{"k" : 0.10}}'


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([field("a", "int")], [field("a", "int", doc="now with words", maximum=5)]),
        ([field("a", "int")], [field("a", ["null", "long"])]),
        ([field("a", ["null", KINDS_1])], [field("a", ["null", {**KINDS_1, "symbols": ["b", "a", "c", "d"]}])]),
        ([field("a", "int"), field("b", "string", default="")], [field("b", "string", default=""), field("a", "long")]),
        ([field("a", {"type": "array", "items": record(field("n", ["null", "R"]), name="Q")})],) * 2,
        ([field("next", ["null", "R"], default=None)],) * 2,
    ],
    ids=repr,
)
def test_where_nothing_changes_nothing_is_done(old: list[Any], new: list[Any]) -> None:
    assert compile_reshape(record(*old), record(*new)) is same


def test_a_record_that_holds_itself() -> None:
    old = record(field("v", "int"), field("next", ["null", "R"], default=None))
    new = record(field("w", "int", aliases=["v"]), field("next", ["null", "R"], default=None))
    event = {"v": 1, "next": {"v": 2, "next": {"v": 3, "z": 0}}}
    assert reshaped(old, new, event) == {"w": 1, "next": {"w": 2, "next": {"w": 3, "z": 0}}}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([], [field("a", "int")]),
        ([field("a", "long")], [field("a", "int")]),
        ([field("a", "double")], [field("a", "float")]),
        ([field("a", "int")], [field("a", "string")]),
        ([field("a", ["null", "int"])], [field("a", "int")]),
        ([field("a", KINDS_1)], [field("a", {**KINDS_2, "default": None})]),
        ([field("a", "int")], [field("a", ["null", "string"])]),
        ([field("a", {"type": "long", "logicalType": "timestamp-millis"})],
         [field("a", {"type": "long", "logicalType": "timestamp-micros"})]),
        ([field("a", {"type": "long", "logicalType": "timestamp-millis"})], [field("a", "long")]),
        ([field("a", "string")], [field("a", {"type": "string", "logicalType": "uuid"})]),
        ([field("a", MONEY)], [field("a", {**MONEY, "scale": 1})]),
        ([field("a", {"type": "fixed", "name": "F", "size": 1})],
         [field("a", {"type": "fixed", "name": "F", "size": 2})]),
        ([field("a", {"type": "array", "items": "string"})], [field("a", {"type": "array", "items": "int"})]),
    ],
    ids=repr,
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_path(old: list[Any], new: list[Any]) -> None:
    with pytest.raises(ConfigError, match=r"^\$\.a"):
        compile_reshape(record(*old), record(*new))


# -- against fastavro


def evolved(draw: st.DrawFn, avro: Any) -> Any:  # noqa: PLR0911 (one return a type)
    """A later version of a type."""
    if isinstance(avro, list):
        return [evolved(draw, branch) for branch in avro]
    if isinstance(avro, str):
        return draw(st.sampled_from([avro, *_WIDER.get(avro, [])]))
    match avro["type"]:
        case "record":
            return {**avro, "fields": _fields(draw, avro["fields"])}
        case "array":
            return {**avro, "items": evolved(draw, avro["items"])}
        case "map":
            return {**avro, "values": evolved(draw, avro["values"])}
        case "enum" if draw(st.booleans()):
            kept = [symbol for symbol in avro["symbols"] if draw(st.booleans())]
            return {**avro, "symbols": ["unknown_", *kept], "default": "unknown_"}
    return avro


def _fields(draw: st.DrawFn, fields: list[dict[str, Any]]) -> list[dict[str, Any]]:
    out = []
    for number, each in enumerate(fields):
        change = draw(st.sampled_from(["keep", "keep", "evolve", "evolve", "rename", "drop"]))
        if change == "drop" and not _defines(each["type"]):
            continue
        later = {**each, "type": evolved(draw, each["type"])} if change == "evolve" else dict(each)
        if change == "rename":
            later = {**later, "name": f"renamed_{number}", "aliases": [each["name"]]}
        out.append(later)
    if draw(st.booleans()):
        new = draw(st.sampled_from([("string", "x"), ("long", 5), (["null", "int"], None), ("boolean", True)]))
        out.append({"name": "added_", "type": new[0], "default": new[1]})
    return out


def _defines(avro: Any) -> bool:
    """Whether a named type is defined in it, that later fields may refer to."""
    return '"name"' in json.dumps(avro)


def without_logical_types(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: without_logical_types(value) for key, value in node.items() if key != "logicalType"}
    return [without_logical_types(value) for value in node] if isinstance(node, list) else node


def with_defaults(
    draw: st.DrawFn, schema: dict[str, Any], event: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields of the top level with one of their values as the default, and the event perhaps without them."""
    schema, event = copy.deepcopy(schema), dict(event)
    for each in schema["fields"]:
        if each["type"] in ("int", "long", "string", "boolean", "double") and draw(st.booleans()):
            each["default"] = draw(values(parse(record(each)).fields[0].type))
            if draw(st.booleans()):
                del event[each["name"]]
    return schema, event


@given(st.data())
@settings(max_examples=300)
def test_equal_to_fastavros_resolution(data: st.DataObject) -> None:
    @st.composite
    def drawn(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        first = draw(schemas())
        old, event = with_defaults(draw, first, draw(values(parse(first))))
        return old, evolved(draw, old), event

    old, new, event = data.draw(drawn())
    before = compile_record({**old, "kind": "record"})
    try:
        reshape = compile_reshape(old, new)
        after = compile_record({**new, "kind": "record"})
    except ConfigError:  # a promotion took from JSON what told branches of a union apart, or from text its meaning
        return
    written = before.encode(before.decode(json.dumps(event).encode()))
    plain_old, plain_new = (fastavro.parse_schema(without_logical_types(s), named_schemas={}) for s in (old, new))
    read = fastavro.schemaless_reader(io.BytesIO(written), plain_old, plain_new)
    expected = io.BytesIO()
    fastavro.schemaless_writer(expected, plain_new, read)
    assert after.encode(after.decode(reshape(json.dumps(event).encode()))) == expected.getvalue()


@pytest.mark.parametrize("subject", Registry(BUNDLED, drafts=True).subjects())
def test_every_version_reaches_the_latest(subject: str) -> None:
    registry = Registry(BUNDLED, drafts=True)
    latest = registry.latest(subject)
    for version in registry.versions(subject):
        schema = registry.get(subject, version)
        reshape = compile_reshape(schema.resolved, latest.resolved)
        contract = compile_record(latest.resolved)
        for example in schema.source.get("examples", []):
            contract.decode(reshape(json.dumps(example).encode()))
