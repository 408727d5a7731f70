"""Explanations: a fault exactly when the decoder refuses, all of them, where they are, and nothing personal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.codegen.compiled import DECODE_ERRORS, Compiled, compile_record
from schemas.codegen.explain import MOST_FAULTS, compile_explain
from schemas.faults import Fault, fingerprint
from schemas.registry import bundled
from tests.schemas.codegen.strategies import near, schemas, values

CORPUS = Path(__file__).parents[1] / "corpus" / "texts.jsonl"
CASES: list[dict[str, str]] = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]


def contract(*fields: dict[str, Any], **attributes: Any) -> Compiled:
    return compile_record({"type": "record", "name": "R", "fields": list(fields), **attributes})


def field(name: str, avro: Any, **beside: Any) -> dict[str, Any]:
    return {"name": name, "type": avro, "pii": "none", **beside}


def accepts(compiled: Compiled, data: bytes) -> bool:
    try:
        compiled.decode(data)
    except DECODE_ERRORS:
        return False
    return True


# -- the decoder and the explanation agree


@given(st.data())
@settings(max_examples=300)
def test_a_fault_exactly_when_the_decoder_refuses(data: st.DataObject) -> None:
    schema = data.draw(schemas())
    compiled = compile_record(schema)
    for _ in range(3):
        event = data.draw(values(compiled.record).flatmap(near))
        text = json.dumps(event).encode()
        # By itself, without the decoder's last word.
        assert bool(compile_explain(compiled.record)(text, "$")) != accepts(compiled, text)
        assert bool(compiled.explain(text)) != accepts(compiled, text)


@given(st.data())
def test_several_faults_are_all_found(data: st.DataObject) -> None:
    """Each field that is refused alone is told of when all come together."""
    schema = {**data.draw(schemas()), "unknown": "keep"}
    compiled = compile_record(schema)
    right = data.draw(values(compiled.record))
    wrong = {name: data.draw(near(value)) for name, value in right.items()}
    alone = {name for name in right if not accepts(compiled, json.dumps({**right, name: wrong[name]}).encode())}
    faults = compiled.explain(json.dumps(wrong).encode())
    assert {name for name in right if any(is_under(fault.path, name) for fault in faults)} == alone


def is_under(path: str, name: str) -> bool:
    return path == f"$.{name}" or path.startswith((f"$.{name}.", f"$.{name}["))


COMPILED = contract(
    field("s", "string", default=""),
    field("i", "int", default=0),
    field("d", "double", default=0),
    field("l", {"type": "array", "items": "int"}, default=[]),
    field("m", {"type": "map", "values": "string"}, default={}),
)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_corpus(case: dict[str, str]) -> None:
    data = bytes.fromhex(case["hex"]) if "hex" in case else case["text"].encode()
    faults = COMPILED.explain(data)
    if case["verdict"] == "valid":
        assert faults == []
        COMPILED.decode(data)
        return
    code, _, path = case["verdict"].partition(" ")
    assert [(fault.code, fault.path) for fault in faults] == [(code, path or "$")]
    assert faults[0].expected
    for read in (COMPILED.decode, COMPILED.split):
        with pytest.raises(DECODE_ERRORS):
            read(data)


@given(st.binary(max_size=60) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"\xef\xbb\xbf{}")
def test_anything_can_be_explained(data: bytes) -> None:
    faults = COMPILED.explain(data)
    assert bool(faults) != accepts(COMPILED, data)
    for fault in faults:
        f"{fault}".encode()  # no half of a surrogate pair gets in


@given(st.sampled_from(CASES), st.sampled_from(CASES), st.integers(0, 100), st.integers(0, 100))
def test_splices_of_odd_texts_can_be_explained(one: dict[str, str], two: dict[str, str], to: int, start: int) -> None:
    first, second = (bytes.fromhex(c["hex"]) if "hex" in c else c["text"].encode() for c in (one, two))
    data = first[:to] + second[start:]
    assert bool(COMPILED.explain(data)) != accepts(COMPILED, data)


# -- what a fault says

ORDER = contract(
    field("order_id", "string", minLength=1, maxLength=20, pii="pseudonymous"),
    field("currency", "string", allowed=["USD", "EUR", "GBP"]),
    field("status", ["null", "int"], default=None, minimum=100, maximum=599),
    field("at", {"type": "long", "logicalType": "timestamp-millis"}, default=0),
    field("day", ["null", {"type": "int", "logicalType": "date"}], default=None),
    field("total", {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}, default="\0"),
    field("ratio", "double", default=0, maximum=1),
    field("flags", {"type": "map", "values": "boolean"}, default={}, maxItems=3),
    field("either", ["boolean", "string"], default=False),
    field(
        "items",
        {
            "type": "array",
            "maxItems": 3,
            "items": {
                "type": "record",
                "name": "Item",
                "unknown": "reject",
                "fields": [
                    field("price", "double"),
                    field("kind", {"type": "enum", "name": "Kind", "symbols": ["new", "used"]}, default="new"),
                ],
            },
        },
        default=[],
    ),
)
RIGHT = {"order_id": "o1", "currency": "EUR"}

TOLD: list[tuple[dict[str, Any], Fault]] = [
    ({"currency": "XXX"}, Fault("not_allowed", "$.currency", "one of USD, EUR, GBP", 'string "XXX"')),
    ({"currency": 5}, Fault("wrong_type", "$.currency", "one of USD, EUR, GBP", "integer 5")),
    ({"status": 99}, Fault("out_of_bounds", "$.status", "integer from 100 to 599", "integer 99")),
    ({"status": "200"}, Fault("wrong_type", "$.status", "integer from 100 to 599, or null", 'string "200"')),
    (
        {"at": "2026-01-31"},
        Fault("wrong_type", "$.at", "timestamp (RFC 3339 or integer milliseconds)", 'string "2026-01-31"'),
    ),
    ({"day": True}, Fault("wrong_type", "$.day", "date (YYYY-MM-DD or integer days), or null", "boolean true")),
    (
        {"total": 1.555},
        Fault("out_of_bounds", "$.total", "decimal with at most 6 digits, 2 of them fractional", "number 1.555"),
    ),
    ({"ratio": 1.5}, Fault("out_of_bounds", "$.ratio", "number of at most 1", "number 1.5")),
    ({"flags": {"a": 1}}, Fault("wrong_type", "$.flags[a]", "true or false", "integer 1")),
    ({"flags": {"a b": 1}}, Fault("wrong_type", "$.flags[*]", "true or false", "integer 1")),
    ({"flags": []}, Fault("wrong_type", "$.flags", "object of at most 3 entries", "array")),
    ({"either": None}, Fault("wrong_type", "$.either", "true or false or text", "null")),
    ({"items": [{}]}, Fault("missing_field", "$.items[0].price", "number of 64 bits", "nothing")),
    (
        {"items": [{"price": 1}, {"price": 1}, {"price": 1, "kind": "old"}]},
        Fault("not_allowed", "$.items[2].kind", "one of new, used", 'string "old"'),
    ),
    ({"items": [{"price": 1, "x": 1}]}, Fault("unknown_field", "$.items[0]", "only declared fields", "x")),
    ({"items": [{"price": 1}] * 4}, Fault("out_of_bounds", "$.items", "array of at most 3 items", "array")),
    ({"order_id": ""}, Fault("out_of_bounds", "$.order_id", "text of 1 to 20 characters", "string")),
]


@pytest.mark.parametrize(("change", "fault"), TOLD, ids=repr)
def test_a_fault_says_what_where_and_why(change: dict[str, Any], fault: Fault) -> None:
    assert ORDER.explain(json.dumps(RIGHT | change).encode()) == [fault]


def test_all_faults_are_found_under_the_root() -> None:
    event = {"currency": "XXX", "status": 1, "flags": {"a": 0}, "items": [{"price": "x"}, {"y": 1}]}
    faults = ORDER.explain(json.dumps(event).encode(), "$.properties")
    assert [(fault.code, fault.path) for fault in faults] == [
        ("missing_field", "$.properties.order_id"),
        ("not_allowed", "$.properties.currency"),
        ("out_of_bounds", "$.properties.status"),
        ("wrong_type", "$.properties.flags[a]"),
        ("wrong_type", "$.properties.items[0].price"),
        ("missing_field", "$.properties.items[1].price"),
        ("unknown_field", "$.properties.items[1]"),
    ]


def test_a_long_list_of_allowed_values_is_cut() -> None:
    symbols = [f"symbol_{number}" for number in range(50)]
    [fault] = contract(field("a", "string", allowed=symbols)).explain(b'{"a":""}')
    assert fault.expected.startswith("one of symbol_0, symbol_1, ")
    assert fault.expected.endswith(", …")
    assert len(fault.expected) < 80


def test_the_number_of_faults_is_bounded() -> None:
    compiled = contract(field("a", {"type": "array", "items": "int"}))
    assert len(compiled.explain(json.dumps({"a": ["x"] * 1_000}).encode())) == MOST_FAULTS


@pytest.mark.parametrize("order", [1, -1])
def test_indexes_and_values_do_not_change_the_fingerprint(order: int) -> None:
    events = [{"items": [{"price": 1}, {"price": "a"}][::order]}, {"items": [{"price": "b"}, {"price": []}]}]
    found = [ORDER.explain(json.dumps(RIGHT | event).encode()) for event in events]
    assert len({fingerprint("order", 1, faults) for faults in found}) == 1


# -- values are shown only where the contract says that they are nothing personal


@pytest.mark.parametrize(
    ("value", "got"),
    [
        ("gold", 'string "gold"'),
        ("x" * 40, 'string "' + "x" * 40 + '"'),
        ("x" * 41, 'string "' + "x" * 40 + '…"'),
        ("ann@example.org", "string"),
        (f"{'x' * 100}ann@example.org", "string"),
        ("+43 664123456", "string"),
        ("two\nlines", "string"),
        ("\u202eright to left", "string"),
        ([123], "array"),
        ({"a": "b"}, "object"),
        (None, "null"),
        (True, "boolean true"),
    ],
)
def test_a_value_is_shown_unless_it_looks_personal(value: Any, got: str) -> None:
    compiled = contract(field("a", "double"))
    assert compiled.explain(json.dumps({"a": value}).encode()) == [Fault("wrong_type", "$.a", "number of 64 bits", got)]


@pytest.mark.parametrize(("number", "got"), [("12345", "integer 12345"), ("123456", "integer"), ("9" * 5000, "number")])
def test_a_number_is_shown_unless_it_has_six_digits(number: str, got: str) -> None:
    [fault] = contract(field("a", "string")).explain(f'{{"a":{number}}}'.encode())
    assert fault.got == got


CANARY = "Xq7canary"
INNER = {"type": "record", "name": "I", "fields": [field("x", "int")]}


@pytest.mark.parametrize("pii", ["pseudonymous", "personal", "sensitive", None])
@pytest.mark.parametrize(
    ("avro", "value"),
    [
        ("int", CANARY),
        ("boolean", CANARY),
        ({"type": "enum", "name": "E", "symbols": ["a"]}, CANARY),
        ({"type": "string", "logicalType": "uuid"}, CANARY),
        ({"type": "long", "logicalType": "timestamp-millis"}, CANARY),
        ({"type": "bytes", "logicalType": "decimal", "precision": 3}, CANARY),
        ({"type": "array", "items": "int"}, [CANARY]),
        ({"type": "map", "values": "int"}, {"k": CANARY}),
        (["null", "int"], CANARY),
        (INNER, CANARY),
    ],
    ids=repr,
)
def test_no_value_of_a_field_that_may_be_personal_is_shown(pii: str | None, avro: Any, value: Any) -> None:
    compiled = contract({"name": "a", "type": avro, **({"pii": pii} if pii else {})})
    faults = compiled.explain(json.dumps({"a": value}).encode())
    assert faults
    assert CANARY not in repr(faults)


def test_a_personal_field_hides_what_is_inside_it_and_a_shared_record_is_shown_only_where_it_may_be() -> None:
    compiled = contract(field("open", INNER), field("closed", "I", pii="personal"), {"name": "silent", "type": "I"})
    faults = compiled.explain(json.dumps({name: {"x": name} for name in ("open", "closed", "silent")}).encode())
    assert [fault.got for fault in faults] == ['string "open"', "string", 'string "silent"']
    faults = compiled.explain(json.dumps({name: name for name in ("open", "closed", "silent")}).encode())
    assert [fault.got for fault in faults] == ['string "open"', "string", "string"]


def test_a_personal_field_hides_what_is_far_inside_it() -> None:
    outer = {"type": "record", "name": "O", "fields": [field("inner", INNER)]}
    compiled = contract(field("a", {"type": "array", "items": outer}, pii="sensitive"))
    [fault] = compiled.explain(json.dumps({"a": [{"inner": {"x": CANARY}}]}).encode())
    assert (fault.path, fault.got) == ("$.a[0].inner.x", "string")


@pytest.mark.parametrize("key", [f"{CANARY}@example.org", f"{CANARY} 1", f"{CANARY}123456", f"{CANARY}é", CANARY * 9])
def test_no_key_that_looks_personal_is_shown(key: str) -> None:
    compiled = contract(field("m", {"type": "map", "values": "int"}), unknown="reject")
    faults = compiled.explain(json.dumps({"m": {key: ""}, key: 1}).encode())
    assert [fault.code for fault in faults] == ["wrong_type", "unknown_field"]
    assert CANARY not in repr(faults)


@pytest.mark.parametrize("schema", bundled().schemas("event"), ids=lambda schema: schema.label)
def test_every_contract_explains(schema: Any) -> None:
    compiled = compile_record(schema.resolved)
    wrong = {each.name: [[CANARY]] for each in compiled.record.fields}
    faults = compiled.explain(json.dumps(wrong).encode())
    assert {name for name in wrong if any(is_under(fault.path, name) for fault in faults)} == set(wrong)
    assert CANARY not in repr(faults)
