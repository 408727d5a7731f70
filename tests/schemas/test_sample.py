"""Samples keep their contract, near-misses break it by the rule they name: of the starter plan and of any schema."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from core.errors import ConfigError
from schemas.codegen.compiled import compile_record
from schemas.near_miss import near_misses
from schemas.registry import Schema, bundled
from schemas.sample import samples
from tests.schemas.codegen.strategies import schemas

PLAN = [schema for schema in bundled().schemas() if schema.kind != "record"]
SEEDS = st.integers(0, 2**32)


def text(value: Any) -> bytes:
    return msgspec.json.encode(value)


def record(*fields: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": list(fields), **attributes}


@pytest.mark.parametrize("schema", PLAN, ids=lambda schema: schema.label)
@settings(max_examples=10)
@given(seed=SEEDS)
def test_samples_of_the_starter_plan_are_valid(schema: Schema, seed: int) -> None:
    explain = compile_record(schema.resolved).explain
    for sample in islice(samples(schema.resolved, seed=seed), 3):
        assert explain(text(sample)) == []


@pytest.mark.parametrize("schema", PLAN, ids=lambda schema: schema.label)
def test_near_misses_of_the_starter_plan_break_the_one_rule_they_name(schema: Schema) -> None:
    explain = compile_record(schema.resolved).explain
    seen = set()
    for miss in near_misses(schema.resolved):
        (fault,) = explain(text(miss.properties))
        assert (fault.code, fault.path) == (miss.code, miss.path), miss.what
        seen.add((miss.code, miss.path))
    required = {("missing_field", f"$.{f['name']}") for f in schema.source["fields"] if "default" not in f}
    bounded = {("out_of_bounds", f"$.{f['name']}") for f in schema.source["fields"] if {"maxLength", "minimum"} & {*f}}
    typed = {("wrong_type", f"$.{f['name']}") for f in schema.source["fields"]}
    assert seen >= required | bounded | typed | {("wrong_type", "$")}


@given(schema=schemas(), seed=SEEDS)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_samples_of_any_schema_are_valid(schema: dict[str, Any], seed: int) -> None:
    compiled = compiled_or_skip(schema)
    for sample in islice(samples(schema, seed=seed), 3):
        compiled.decode(text(sample))


@given(schema=schemas(), seed=SEEDS)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_near_misses_of_any_schema_are_refused(schema: dict[str, Any], seed: int) -> None:
    compiled = compiled_or_skip(schema)
    for miss in near_misses(schema, seed=seed):
        (fault,) = compiled.explain(text(miss.properties))
        assert (fault.code, fault.path) == (miss.code, miss.path), (miss, fault)


# -- what guides the values


def first(schema: dict[str, Any], count: int = 40, seed: int = 0) -> list[Any]:
    return list(islice(samples(schema, seed=seed), count))


def test_the_same_seed_makes_the_same_samples() -> None:
    schema = bundled().get("order_completed", 1).resolved
    assert first(schema, seed=1) == first(schema, seed=1)
    assert first(schema, seed=1) != first(schema, seed=2)
    assert len({json.dumps(each) for each in first(schema)}) == 40


def test_the_first_sample_is_complete() -> None:
    schema = bundled().get("order_completed", 1)
    names = [field["name"] for field in schema.source["fields"]]
    assert list(first(schema.resolved)[0]) == names
    assert any(len(sample) < len(names) for sample in first(schema.resolved))


def test_examples_guide_the_values() -> None:
    plain = {"name": "a", "type": "string", "examples": ["x", "y"]}
    measured = {"name": "b", "type": "int", "unit": "ms", "examples": [10, 90]}
    counted = {"name": "c", "type": "int", "examples": [1, 900]}
    known = {"name": "d", "type": "string", "pii": "pseudonymous", "examples": ["u-1000"]}
    found = first(record(plain, measured, counted, known))
    assert {each["a"] for each in found} == {"x", "y"}
    assert len({each["b"] for each in found}) > 10
    assert all(10 <= each["b"] <= 90 for each in found)
    assert {each["c"] for each in found} == {1, 900}
    assert len({each["d"] for each in found}) > 30
    assert all(each["d"].startswith("u-") and len(each["d"]) == 6 for each in found)


def test_examples_of_the_whole_guide_its_fields() -> None:
    found = first(record({"name": "a", "type": "string"}, examples=[{"a": "x"}, {"a": "y"}]))
    assert {each["a"] for each in found} == {"x", "y"}


def test_an_open_record_is_filled_by_its_examples() -> None:
    examples = [{"button": "buy"}, {"seats": 3}]
    assert {json.dumps(each) for each in first(record(unknown="open", examples=examples))} == {
        *map(json.dumps, examples)
    }


def test_examples_that_are_wrong_are_left_out() -> None:
    found = first(record({"name": "a", "type": "int", "minimum": 5, "maximum": 6, "examples": [99, "x"]}))
    assert {each["a"] for each in found} == {5, 6}


def test_money_has_cents() -> None:
    money = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 4}
    found = first(record({"name": "a", "type": money, "minimum": 1, "maximum": 9, "unit": "currency"}))
    assert all(len(each["a"].split(".")[1]) == 2 and 1 <= float(each["a"]) <= 9 for each in found)


def test_a_schema_that_contains_itself_comes_to_an_end() -> None:
    tree = record(
        {"name": "children", "type": {"type": "array", "items": "R"}}, {"name": "next", "type": ["null", "R"]}
    )
    compiled = compile_record(tree)
    for sample in first(tree):
        compiled.decode(text(sample))


def test_samples_keep_within_the_limits_of_the_whole() -> None:
    wide = record(*({"name": f"f{n}", "type": ["null", "string"], "default": None} for n in range(20)), maxBytes=40)
    assert all(len(text(each)) <= 40 for each in first(wide))
    deep = record({"name": "a", "type": {"type": "array", "items": {"type": "array", "items": "int"}}}, maxDepth=2)
    assert all(compile_record(deep).explain(text(each)) == [] for each in first(deep))


@pytest.mark.parametrize(
    "schema",
    [
        record({"name": "a", "type": "R"}),
        record({"name": "a", "type": "double", "minimum": 2, "maximum": 1}),
        record({"name": "a", "type": {"type": "string", "minLength": 50}}, maxBytes=40),
    ],
    ids=["endless", "no number", "too large"],
)
def test_a_schema_that_nothing_keeps_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        next(samples(schema))


def compiled_or_skip(schema: dict[str, Any]) -> Any:
    """Schemas that JSON has no form for have no samples either."""
    try:
        return compile_record(schema)
    except ConfigError:
        assume(False)
