"""Fields in words."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.catalog.fields import FieldRow, rows
from schemas.compatibility.types import parse_record

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
ITEM = {"type": "record", "name": "Item", "fields": [{"name": "price", "type": "double", "minimum": 0}]}


def told(*fields: dict[str, Any], contexts: dict[str, str] | None = None) -> list[FieldRow]:
    return rows(parse_record({"type": "record", "name": "R", "fields": list(fields)}), contexts or {})


@pytest.mark.parametrize(
    ("type_", "words"),
    [
        ("string", "text"),
        (["null", "long"], "integer"),
        (["null", "string", "boolean"], "text or true or false"),
        ({"type": "long", "logicalType": "timestamp-millis"}, "time (RFC 3339)"),
        ({"type": "int", "logicalType": "date"}, "date (YYYY-MM-DD)"),
        ({"type": "string", "logicalType": "uuid"}, "UUID"),
        (DECIMAL, "decimal"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, "text"),
        ({"type": "fixed", "name": "F", "size": 4}, "4 bytes (base64)"),
        ({"type": "array", "items": "string"}, "list of texts"),
        ({"type": "array", "items": {"type": "array", "items": "int"}}, "list of lists of integers"),
        ({"type": "map", "values": "double"}, "object of numbers by name"),
        (ITEM, "object"),
        ("null", "null"),
    ],
)
def test_types(type_: Any, words: str) -> None:
    assert told({"name": "a", "type": type_})[0].type == words


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ({"type": ["null", "string"], "minLength": 1, "maxLength": 64}, ["1 to 64 characters"]),
        ({"type": "string", "minLength": 2, "maxLength": 2}, ["exactly 2 characters"]),
        ({"type": ["null", "int"], "minimum": 0}, ["at least 0"]),
        ({"type": "long", "maximum": 100_000}, ["at most 100,000"]),
        ({"type": "bytes", "maxLength": 8}, ["at most 8 bytes"]),
        ({"type": ["null", DECIMAL], "minimum": 0}, ["up to 9 digits, 2 of them after the point", "at least 0"]),
        (
            {"type": {"type": "array", "items": {"type": "string", "maxLength": 9}}, "maxItems": 5},
            ["at most 5 entries", "each at most 9 characters"],
        ),
        ({"type": {"type": "array", "items": "string", "maxItems": 3}}, ["at most 3 entries"]),
        ({"type": {"type": "int", "logicalType": "date"}, "minimum": 0}, ["at least 0 days since 1970"]),
        ({"type": "string"}, []),
    ],
)
def test_bounds(field: dict[str, Any], words: list[str]) -> None:
    assert list(told({"name": "a", **field})[0].bounds) == words


@pytest.mark.parametrize(
    "field",
    [
        {"type": "string", "allowed": ["A", "B"]},
        {"type": ["null", {"type": "enum", "name": "E", "symbols": ["A", "B"]}]},
        {"type": {"type": "array", "items": {"type": "string", "allowed": ["A", "B"]}}},
        {"type": {"type": "map", "values": {"type": "enum", "name": "E", "symbols": ["A", "B"]}}},
    ],
)
def test_allowed_values(field: dict[str, Any]) -> None:
    assert told({"name": "a", **field})[0].allowed == ("A", "B")


def test_nested_fields_follow_theirs() -> None:
    found = told({"name": "items", "type": {"type": "array", "items": ITEM}}, {"name": "last", "type": "string"})
    assert [(row.path, row.depth) for row in found] == [("items", 0), ("items[].price", 1), ("last", 0)]
    assert (found[1].parent, found[1].name) == ("items[].", "price")
    assert found[1].bounds == ("at least 0",)


def test_a_record_that_contains_itself_ends() -> None:
    tree = {"type": "record", "name": "Tree", "fields": [{"name": "below", "type": {"type": "array", "items": "Tree"}}]}
    found = told({"name": "tree", "type": tree})
    assert [row.path for row in found] == ["tree", "tree.below"]
    assert found[1].type == "list of objects (Tree, as above)"


def test_a_context_is_named_and_not_repeated() -> None:
    found = told(
        {"name": "items", "type": ["null", {"type": "array", "items": ITEM}]}, contexts={"Item": "item_context"}
    )
    assert [(row.path, row.contexts) for row in found] == [("items", ("item_context",))]


def test_a_default_makes_a_field_optional() -> None:
    bare, null, one = told(
        {"name": "a", "type": "int"},
        {"name": "b", "type": ["null", "int"], "default": None},
        {"name": "c", "type": "int", "default": 1},
    )
    assert [(row.required, row.default) for row in (bare, null, one)] == [(True, None), (False, None), (False, 1)]
