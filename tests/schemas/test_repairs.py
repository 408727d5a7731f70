"""Repair rules: each step alone, what is no rule, and that no event makes one raise."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from schemas import repairs
from schemas.contracts import ContractError, Contracts
from schemas.registry import bundled
from schemas.repairs import Coerce, Default, Drop, Map, Rename, Repairs, Rule, Step
from schemas.sample import samples


def mended(properties: Any, *steps: Step) -> Any:
    rule = Rule("r", 1, "e", steps)
    found = Repairs([rule]).mended("e", 0, json.dumps({"properties": properties}).encode())
    return None if found is None else json.loads(found[0])["properties"]


@pytest.mark.parametrize(
    ("before", "step", "after"),
    [
        ({"a": 1}, Rename("properties.a", "b"), {"b": 1}),
        ({"a": 1, "b": 2}, Rename("properties.a", "b"), None),
        ({"b": 2}, Rename("properties.a", "b"), None),
        ({"a": "12"}, Coerce("properties.a", "integer"), {"a": 12}),
        ({"a": "12.0"}, Coerce("properties.a", "integer"), {"a": 12}),
        ({"a": 12.0}, Coerce("properties.a", "integer"), {"a": 12}),
        ({"a": 12.5}, Coerce("properties.a", "integer"), None),
        ({"a": "12.50"}, Coerce("properties.a", "number"), {"a": 12.5}),
        ({"a": "1e999"}, Coerce("properties.a", "number"), None),
        ({"a": "NaN"}, Coerce("properties.a", "number"), None),
        ({"a": "twelve"}, Coerce("properties.a", "number"), None),
        ({"a": 12}, Coerce("properties.a", "string"), {"a": "12"}),
        ({"a": True}, Coerce("properties.a", "string"), {"a": "true"}),
        ({"a": "Yes"}, Coerce("properties.a", "boolean"), {"a": True}),
        ({"a": 0}, Coerce("properties.a", "boolean"), {"a": False}),
        ({"a": 2}, Coerce("properties.a", "boolean"), None),
        ({}, Default("properties.a", "x"), {"a": "x"}),
        ({"a": None}, Default("properties.a", 1), {"a": 1}),
        ({"a": 0}, Default("properties.a", 1), None),
        ({"a": 0, "b": 1}, Drop("properties.a"), {"b": 1}),
        ({"a": "EURO"}, Map("properties.a", {"EURO": "EUR"}), {"a": "EUR"}),
        ({"a": "USD"}, Map("properties.a", {"EURO": "EUR"}), None),
        ({"a": {"b": "1"}}, Coerce("properties.a.b", "integer"), {"a": {"b": 1}}),
        ({"l": [{"p": "1"}, 5, {"p": "x"}]}, Coerce("properties.l[].p", "integer"), {"l": [{"p": 1}, 5, {"p": "x"}]}),
        ({"l": ["1", "x", 2]}, Coerce("properties.l[]", "integer"), {"l": [1, "x", 2]}),
        ({"l": 5}, Coerce("properties.l[].p", "integer"), None),
        ([], Drop("properties.a"), None),
    ],
)
def test_steps(before: Any, step: Step, after: Any) -> None:
    assert mended(before, step) == after


def test_other_numbers_stay_to_the_digit() -> None:
    payload = b'{"properties":{"a":"1","n":1.10,"big":123456789012345678901234567890,"e":0.1000000000000000000001}}'
    found = Repairs([Rule("r", 1, "e", (Coerce("properties.a", "integer"),))]).mended("e", 0, payload)
    assert found is not None
    assert found == (payload.replace(b'"1"', b"1"), ["r:1"])


def test_the_newest_version_counts_and_rules_follow_their_names() -> None:
    rules = [
        Rule("b", 1, "e", (Rename("properties.y", "z"),)),
        Rule("a", 2, "e", (Rename("properties.x", "y"),)),
        Rule("a", 1, "e", (Drop("properties.x"),)),
        Rule("c", 1, "other", (Drop("properties.z"),)),
    ]
    found = Repairs(rules).mended("e", 0, b'{"properties":{"x":1}}')
    assert found == (b'{"properties":{"z":1}}', ["a:2", "b:1"])


def test_a_rule_of_some_versions_leaves_the_others() -> None:
    rule = Rule("a", 1, "e", (Drop("properties.x"),), versions=(0, 2))
    payload = b'{"properties":{"x":1}}'
    assert [Repairs([rule]).mended("e", version, payload) is not None for version in (0, 1, 2)] == [True, False, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "not a repair rule"),
        ('{"name":"a","version":1,"event":"e","steps":[]}', "has no steps"),
        ('{"name":"A","version":1,"event":"e","steps":[{"op":"drop","path":"properties.a"}]}', "cannot name"),
        ('{"name":"a","version":0,"event":"e","steps":[{"op":"drop","path":"properties.a"}]}', "the first is 1"),
        ('{"name":"a","version":1,"event":"e","steps":[{"op":"drop","path":"event_id"}]}', "is no path"),
        ('{"name":"a","version":1,"event":"e","steps":[{"op":"eval","path":"properties.a"}]}', "not a repair rule"),
        ('{"name":"a","version":1,"event":"e","steps":[{"op":"drop","path":"properties.a","x":1}]}', "not a repair"),
    ],
)
def test_what_is_no_rule_is_told(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        repairs.decode(text.encode())


_KEYS = st.sampled_from(["a", "b", "l", "total"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=10,
)
_PATHS = st.lists(st.tuples(_KEYS, st.sampled_from(["", "[]"])), min_size=1, max_size=3).map(
    lambda parts: ".".join(["properties", *(key + mark for key, mark in parts)])
)
_STEPS = st.one_of(
    st.builds(Rename, _PATHS, _KEYS),
    st.builds(Coerce, _PATHS, st.sampled_from(["integer", "number", "string", "boolean"])),
    st.builds(Default, _PATHS, st.integers() | st.text(max_size=3)),
    st.builds(Drop, _PATHS),
    st.builds(Map, _PATHS, st.dictionaries(st.text(max_size=2), st.integers(), max_size=2)),
)
_RULES = st.builds(
    Rule, st.just("r"), st.integers(1, 5), st.just("e"), st.lists(_STEPS, min_size=1, max_size=3).map(tuple)
)


@given(_RULES)
def test_a_rule_survives_its_file(rule: Rule) -> None:
    assert repairs.decode(repairs.encode(rule)) == rule


@given(_RULES, _VALUES)
def test_no_event_makes_a_rule_raise_and_what_comes_out_is_json(rule: Rule, properties: Any) -> None:
    found = Repairs([rule]).mended("e", 0, msgspec.json.encode({"event_id": "x", "properties": properties}))
    if found is not None:
        assert msgspec.json.decode(found[0])["event_id"] == "x"


@given(st.binary(max_size=30))
def test_any_bytes(payload: bytes) -> None:
    Repairs([Rule("r", 1, "e", (Drop("properties.a"),))]).mended("e", 0, payload)


def test_contracts_judge_again_what_a_rule_has_mended() -> None:
    good = next(iter(samples(bundled().latest("search").resolved)))
    payload = {
        "event_id": "x",
        "event_type": "custom_event",
        "name": "search",
        "properties": good | {"result_count": "12"},
    }
    sent = msgspec.json.encode(_tracked(payload))
    plain = Contracts(bundled())
    with pytest.raises(ContractError):
        plain.judge("search", 0, sent)
    rule = Rule("r", 1, "search", (Coerce("properties.result_count", "integer"),))
    judged = Contracts(bundled(), Repairs([rule])).judge("search", 0, sent)
    assert judged.repaired == ("r:1",)
    assert msgspec.json.decode(judged.properties)["result_count"] == 12


def test_what_a_rule_does_not_mend_is_refused_for_what_was_sent() -> None:
    sent = msgspec.json.encode(_tracked({"event_id": "x", "properties": {"result_count": "many"}}))
    rule = Rule("r", 1, "search", (Rename("properties.result_count", "amount"),))
    with pytest.raises(ContractError) as plain:
        Contracts(bundled()).judge("search", 0, sent)
    with pytest.raises(ContractError) as repaired:
        Contracts(bundled(), Repairs([rule])).judge("search", 0, sent)
    assert repaired.value.faults == plain.value.faults


_SENT = {"event_id": "x", "visitor_id": "v", "consent_state": "granted"}


def _tracked(fields: dict[str, Any]) -> dict[str, Any]:
    names = [field["name"] for field in bundled().latest("tracked_event").source["fields"]]
    empty: dict[str, Any] = dict.fromkeys(names, "")
    return (
        empty
        | {"properties": {}, "context": {}, "occurred_at": 0, "sent_at": 0, "event_type": "custom_event"}
        | _SENT
        | fields
    )
