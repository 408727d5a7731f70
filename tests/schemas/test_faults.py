"""Faults in words: every message of the decoder finds its code and path, and no value of an event gets in."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.codegen.structs import struct_type
from schemas.contracts import DECODE_ERRORS, ContractError, bundled_contracts
from schemas.faults import Fault, fingerprint, from_decode_error


def field(name: str, avro: Any, **beside: Any) -> dict[str, Any]:
    return {"name": name, "type": avro, "default": None, **beside}


SCHEMA = {
    "name": "R",
    "fields": [
        field("i", "int", minimum=1, maximum=5),
        field("l", "long"),
        field("d", "double"),
        field("s", "string", minLength=2, maxLength=3),
        field("n", ["null", "string"]),
        field("e", {"type": "enum", "name": "E", "symbols": ["a", "b"]}),
        field("b", "boolean"),
        field("arr", {"type": "array", "items": "int"}),
        field("m", {"type": "map", "values": "int"}),
        field("r", {"type": "record", "name": "Q", "unknown": "reject", "fields": [{"name": "x", "type": "int"}]}),
    ],
}
DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(struct_type(SCHEMA))


def fault_of(data: str | bytes, root: str = "$") -> Fault:
    try:
        DECODER.decode(data)
    except DECODE_ERRORS as error:
        return from_decode_error(error, root=root)
    raise AssertionError(f"{data!r} was taken")


FORMS: list[tuple[str | bytes, Fault]] = [
    ('{"i":"x"}', Fault("wrong_type", "$.i", "int", "str")),
    ('{"l":1.5}', Fault("wrong_type", "$.l", "int", "float")),
    ('{"n":1}', Fault("wrong_type", "$.n", "str | null", "int")),
    ('{"e":1}', Fault("wrong_type", "$.e", "str", "int")),
    ('{"b":0}', Fault("wrong_type", "$.b", "bool", "int")),
    ('{"arr":{}}', Fault("wrong_type", "$.arr", "array", "object")),
    ('{"arr":[1,"x"]}', Fault("wrong_type", "$.arr[1]", "int", "str")),
    ('{"m":{"k":null}}', Fault("wrong_type", "$.m[...]", "int", "null")),
    ('{"r":{"x":"1"}}', Fault("wrong_type", "$.r.x", "int", "str")),
    ("[1]", Fault("wrong_type", "$", "object", "array")),
    ('{"i":0}', Fault("out_of_bounds", "$.i", "int >= 1", "")),
    ('{"i":6}', Fault("out_of_bounds", "$.i", "int <= 5", "")),
    ('{"l":9223372036854775808}', Fault("out_of_bounds", "$.l", "int <= 9223372036854775807", "")),
    ('{"s":"a"}', Fault("out_of_bounds", "$.s", "str of length >= 2", "")),
    ('{"s":"abcd"}', Fault("out_of_bounds", "$.s", "str of length <= 3", "")),
    ('{"d":1e999}', Fault("out_of_bounds", "$.d", "a number in range", "")),
    ('{"e":"c"}', Fault("not_allowed", "$.e", "one of the allowed values", "another")),
    ('{"r":{}}', Fault("missing_field", "$.r.x", "a value", "nothing")),
    ('{"r":{"x":1,"y":2}}', Fault("unknown_field", "$.r", "only declared fields", "y")),
    ("", Fault("not_json", "$", "JSON", "")),
    ('{"i":1', Fault("not_json", "$", "JSON", "")),
    ('{"i":1}{', Fault("not_json", "$", "JSON", "")),
    ('{"i":1,}', Fault("not_json", "$", "JSON", "")),
    ('{"d":NaN}', Fault("not_json", "$", "JSON", "")),
    ('{"n":"\\ud800 "}', Fault("not_json", "$", "JSON", "")),
    ('{"n":"\n"}', Fault("not_json", "$", "JSON", "")),
    (b'{"n":"\xff"}', Fault("not_utf8", "$", "UTF-8", "")),
    (b'{"z":' + b"[" * 100_000, Fault("too_deep", "$", "less nesting", "")),
]


@pytest.mark.parametrize(("data", "fault"), FORMS, ids=lambda value: repr(value)[:40])
def test_each_message_finds_its_fault(data: str | bytes, fault: Fault) -> None:
    assert fault_of(data) == fault


def test_paths_lie_under_their_root() -> None:
    assert fault_of('{"arr":["x"]}', root="$.properties").path == "$.properties.arr[0]"
    assert fault_of('{"r":{}}', root="$.properties").path == "$.properties.r.x"
    assert fault_of("[]", root="$.properties").path == "$.properties"


def test_a_fault_reads_as_a_sentence() -> None:
    assert str(fault_of('{"i":"x"}')) == "$.i: expected int, got str"
    assert str(fault_of('{"i":0}')) == "$.i: expected int >= 1"


# Built around a word that occurs nowhere else, with what could lead a parser of messages astray.
CANARY = "Xq7canary"
SECRETS = st.text(st.sampled_from("`'\"$.-<>= \n[]é") | st.characters(blacklist_categories=["Cs"]), max_size=20).map(
    lambda text: f"{text}{CANARY}{text}"
)
WRONG: list[Any] = ["i", "l", "d", "b", "e", "s", "arr", "m", "r"]


@given(SECRETS, st.sampled_from(WRONG))
@example(f"` - at `${CANARY}`", "e")
@example(f"' - at `${CANARY}", "e")
@example(f"`, got `{CANARY}`", "e")
def test_no_value_enters_a_fault(secret: str, name: str) -> None:
    nested: dict[str, Any] = {"arr": [secret], "m": {secret: secret}, "r": {"x": secret}}
    for value in (secret, [secret], {secret: secret}, nested.get(name, secret)):
        text = json.dumps({name: value}, ensure_ascii=False)
        try:
            DECODER.decode(text)
        except DECODE_ERRORS as error:
            fault = from_decode_error(error)
            # The name of an undeclared field is no value: whoever repairs the event must be told it.
            shown = f"{fault.code} {fault.path} {fault.expected} {'' if fault.code == 'unknown_field' else fault.got}"
            assert CANARY not in shown
            assert fault.path.startswith((f"$.{name}", "$"))


@given(SECRETS, st.sampled_from(["event_id", "event_type", "consent_state", "occurred_at", "properties", "context"]))
def test_no_value_of_an_event_enters_a_contracts_faults(secret: str, name: str) -> None:
    event: dict[str, Any] = {
        "event_id": "e",
        "event_type": "page_view",
        "visitor_id": "v",
        "properties": {"status": secret, "title": [secret]},
        "context": {},
        "consent_state": "granted",
        "occurred_at": 0,
    }
    payload = json.dumps(event | {name: secret * (20 if name == "event_id" else 1)}, ensure_ascii=False).encode()
    contracts = bundled_contracts()
    with pytest.raises(ContractError) as refused:
        contracts.find("page_view", 0).check(contracts.decode(payload).properties)
    assert CANARY not in str(refused.value)
    assert not any(CANARY in repr(fault) for fault in refused.value.faults)


WORDS = st.text(max_size=10)
FAULTS = st.builds(Fault, WORDS, WORDS, WORDS, WORDS)


def test_fingerprints_never_change() -> None:
    """Repairs are recorded by them."""
    fault = Fault("wrong_type", "$.properties.status", "int", "str")
    assert fingerprint("page_view", 1, [fault]) == "bec8ef272f3838f2"


@given(st.lists(FAULTS, max_size=4).flatmap(lambda faults: st.tuples(st.just(faults), st.permutations(faults))))
def test_the_order_of_faults_does_not_matter(two: tuple[list[Fault], list[Fault]]) -> None:
    assert fingerprint("e", 1, two[0]) == fingerprint("e", 1, two[1])


@given(FAULTS, FAULTS)
def test_another_cause_has_another_fingerprint(one: Fault, other: Fault) -> None:
    if "\t" not in repr(one) + repr(other) and "\n" not in repr(one) + repr(other):
        assert (fingerprint("e", 1, [one]) == fingerprint("e", 1, [other])) == (one == other)
    assert fingerprint("e", 1, [one]) != fingerprint("e", 2, [one])
    assert fingerprint("e", 1, [one]) != fingerprint("f", 1, [one])


def test_events_that_differ_only_in_values_share_a_fingerprint() -> None:
    faults = [[fault_of(json.dumps({"i": value}))] for value in ("a", "b" * 50)]
    assert len({fingerprint("e", 1, each) for each in faults}) == 1
    assert fingerprint("e", 1, faults[0]) != fingerprint("e", 1, [fault_of('{"i":[]}')])
