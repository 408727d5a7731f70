"""Faults in words: every message of the decoder finds its code and path, and no value of an event gets in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.codegen.compiled import DECODE_ERRORS
from schemas.codegen.structs import decoder_of, struct_type
from schemas.contracts import ContractError, bundled_contracts
from schemas.faults import Fault, FaultError, fingerprint, from_decode_error


def field(name: str, avro: Any, **beside: Any) -> dict[str, Any]:
    return {"name": name, "type": avro, "default": _DEFAULTS[name], **beside}


_DEFAULTS = {"i": 1, "l": 0, "d": 0, "s": "ab", "n": None, "e": "a", "b": True, "arr": [], "m": {}, "r": {"x": 1}}
_DEFAULTS |= {"t": 0, "day": 0, "u": "0b3a1f60-7d0e-4a53-9d2f-1f1f0f0e0d0c", "by": "", "dec": "\0", "soon": 5}


SCHEMA = {
    "type": "record",
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
        field("t", {"type": "long", "logicalType": "timestamp-millis"}),
        field("soon", {"type": "long", "logicalType": "timestamp-millis"}, minimum=5, maximum=9),
        field("day", {"type": "int", "logicalType": "date"}),
        field("u", {"type": "string", "logicalType": "uuid"}),
        field("by", "bytes", maxLength=1),
        field("dec", {"type": "bytes", "logicalType": "decimal", "precision": 3, "scale": 1}, minimum=0),
    ],
}
DECODER = decoder_of(struct_type(SCHEMA))


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
    ('{"l":' + "1" * 9_000 + "}", Fault("out_of_bounds", "$.l", "a number in range", "")),
    ('{"d":1e999}', Fault("out_of_bounds", "$.d", "a number in range", "")),
    ('{"e":"c"}', Fault("not_allowed", "$.e", "one of the allowed values", "another")),
    ('{"r":{}}', Fault("missing_field", "$.r.x", "a value", "nothing")),
    ('{"r":{"x":1,"y":2}}', Fault("unknown_field", "$.r", "only declared fields", "y")),
    ('{"t":"x"}', Fault("wrong_type", "$.t", "timestamp with a zone", "str")),
    ('{"t":"2026-01-31T12:00:00"}', Fault("wrong_type", "$.t", "timestamp with a zone", "str")),
    ('{"t":1.5}', Fault("wrong_type", "$.t", "int | datetime", "float")),
    ('{"soon":4}', Fault("out_of_bounds", "$.soon", "timestamp >= 5", "")),
    ('{"soon":"2026-01-31T12:00:00Z"}', Fault("out_of_bounds", "$.soon", "timestamp <= 9", "")),
    ('{"soon":"x"}', Fault("wrong_type", "$.soon", "timestamp with a zone", "str")),
    ('{"soon":[]}', Fault("wrong_type", "$.soon", "timestamp", "array")),
    ('{"day":"x"}', Fault("wrong_type", "$.day", "date", "str")),
    ('{"u":"x"}', Fault("wrong_type", "$.u", "UUID", "str")),
    ('{"by":"x"}', Fault("wrong_type", "$.by", "base64", "str")),
    ('{"by":"AAAA"}', Fault("out_of_bounds", "$.by", "bytes of length <= 1", "")),
    ('{"dec":"x"}', Fault("wrong_type", "$.dec", "decimal", "str")),
    ('{"dec":null}', Fault("wrong_type", "$.dec", "decimal", "null")),
    ('{"dec":1.55}', Fault("out_of_bounds", "$.dec", "decimal of scale <= 1", "")),
    ('{"dec":100}', Fault("out_of_bounds", "$.dec", "decimal of length <= 2", "")),
    ('{"dec":-1}', Fault("out_of_bounds", "$.dec", "decimal >= 0", "")),
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
WRONG: list[Any] = ["i", "l", "d", "b", "e", "s", "arr", "m", "r", "t", "soon", "day", "u", "by", "dec"]


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
        "properties": {"status": {secret: secret}, "title": [secret]},
        "context": {},
        "consent_state": "granted",
        "occurred_at": 0,
    }
    payload = json.dumps(event | {name: secret * (20 if name == "event_id" else 1)}, ensure_ascii=False).encode()
    with pytest.raises(ContractError) as refused:
        bundled_contracts().judge("page_view", 0, payload)
    assert CANARY not in str(refused.value)
    assert not any(CANARY in repr(fault) for fault in refused.value.faults)


# No brackets: what is in those is no part of a cause.
WORDS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="[]\t\n"), max_size=10)
FAULTS = st.builds(Fault, WORDS, WORDS, WORDS, WORDS)


def test_fingerprints_never_change() -> None:
    """Repairs are recorded by them."""
    fault = Fault("wrong_type", "$.properties.items[3].price", "number", "string")
    assert fingerprint("order_completed", 1, [fault]) == "5310ca96f172b92f"


@given(st.lists(FAULTS, max_size=4).flatmap(lambda faults: st.tuples(st.just(faults), st.permutations(faults))))
def test_neither_order_nor_number_of_faults_matters(two: tuple[list[Fault], list[Fault]]) -> None:
    assert fingerprint("e", 1, two[0]) == fingerprint("e", 1, two[1]) == fingerprint("e", 1, two[0] * 2)


@given(FAULTS, FAULTS)
def test_another_cause_has_another_fingerprint(one: Fault, other: Fault) -> None:
    is_same = (one.code, one.path, one.expected) == (other.code, other.path, other.expected)
    assert (fingerprint("e", 1, [one]) == fingerprint("e", 1, [other])) == is_same
    assert fingerprint("e", 1, [one]) != fingerprint("e", 2, [one])
    assert fingerprint("e", 1, [one]) != fingerprint("f", 1, [one])


@pytest.mark.parametrize(
    "texts",
    [
        ['{"i":"a"}', '{"i":"bbbbb"}', '{"i":null}'],
        ['{"arr":["x"]}', '{"arr":[1,2,3,"x"]}', '{"arr":[1,null]}'],
        ['{"m":{"a":""}}', '{"m":{"b":1,"c":[]}}'],
        ['{"r":{"x":1,"y":1}}', '{"r":{"x":1,"z":1}}'],
    ],
)
def test_events_that_differ_only_in_values_share_a_fingerprint(texts: list[str]) -> None:
    assert len({fingerprint("e", 1, [fault_of(text)]) for text in texts}) == 1
    assert fingerprint("e", 1, [fault_of(texts[0])]) != fingerprint("e", 1, [fault_of('{"i":99}')])


def test_a_fault_that_is_raised_has_its_path_under_the_root() -> None:
    error = FaultError(Fault("too_deep", "$", "at most 16 levels of nesting", "more"))
    assert from_decode_error(error, root="$.context") == Fault(
        "too_deep", "$.context", "at most 16 levels of nesting", "more"
    )
