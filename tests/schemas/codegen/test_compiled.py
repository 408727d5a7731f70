"""A compiled record: the two ways of decoding agree, what is not declared is split off, limits hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError
from schemas.codegen import model
from schemas.codegen.compiled import DECODE_ERRORS, Compiled, compile_record, is_deeper
from schemas.codegen.parse import parse
from schemas.faults import FaultError
from schemas.registry import BUNDLED, Registry
from tests.schemas.codegen.strategies import native, near, schemas, values, written_by_fastavro

INNER = {"type": "record", "name": "Inner", "fields": [{"name": "x", "type": "int"}]}
FIELDS: list[dict[str, Any]] = [{"name": "a", "type": "int"}, {"name": "r", "type": ["null", INNER], "default": None}]


def compiled(*fields: dict[str, Any], **attributes: Any) -> Any:
    return compile_record({"type": "record", "name": "R", "fields": list(fields or FIELDS), **attributes})


def test_what_is_declared_passes_through_as_it_came() -> None:
    text = b'{ "a" : 1, "r": {"x": 2} }'
    value, declared, extra = compiled().split(text)
    assert (value.a, value.r.x) == (1, 2)
    assert declared is text
    assert extra == b"{}"


@pytest.mark.parametrize(
    ("text", "declared", "extra"),
    [
        (b'{"a":1,"b":2.50}', b'{"a":1}', b'{"b":2.50}'),
        (b'{"b": {"c": [1,  2]}, "a":1, "d":null}', b'{"a":1}', b'{"b":{"c": [1,  2]},"d":null}'),
        (b'{"a":1,"b":1,"b":2}', b'{"a":1}', b'{"b":2}'),
        (b'{"a":0,"a":1,"b":1}', b'{"a":1}', b'{"b":1}'),
        (b'{"\\u0061":1,"\\u00e9":"\\u00e9"}', b'{"a":1}', '{"é":"\\u00e9"}'.encode()),
        # deeper inside, it stays where it is
        (b'{"a":1,"r":{"x":1,"y":2}}', b'{"a":1,"r":{"x":1,"y":2}}', b"{}"),
        (b'{"a":1,"r":{"x":1,"y":2},"b":0}', b'{"a":1,"r":{"x":1,"y":2}}', b'{"b":0}'),
    ],
    ids=repr,
)
def test_what_is_not_declared_is_split_off(text: bytes, declared: bytes, extra: bytes) -> None:
    value, *parts = compiled().split(text)
    assert value.a == 1
    assert parts == [declared, extra]
    if b'"r"' not in text:
        assert compiled(FIELDS[0]).split(text)[1:] == (declared, extra)


def test_nothing_is_split_off_an_open_record() -> None:
    contract = compiled(unknown="open")
    assert contract.split(b'{"a":1,"b":2}')[1:] == (b'{"a":1,"b":2}', b"{}")


def test_a_closed_record_refuses_what_is_not_declared() -> None:
    contract = compiled(unknown="reject")
    for read in (contract.decode, contract.split):
        with pytest.raises(msgspec.ValidationError, match="unknown field"):
            read(b'{"a":1,"b":2}')
    # inside it, the inner record decides
    assert contract.split(b'{"a":1,"r":{"x":1,"y":2}}')[2] == b"{}"


@pytest.mark.parametrize("unknown", ["keep", "open"])
@pytest.mark.parametrize(
    "odd", [b'"\xff"', b'"\\ud800"', b"1e999", b"NaN", b'"\n"', b"01", b"[" * 900 + b"]" * 900, b"[1"], ids=repr
)
def test_what_is_skipped_is_read_too(unknown: str, odd: bytes) -> None:
    twice = b'{"a":1,"b":"\xff","b":1}'
    nested, flat = compiled(unknown=unknown), compiled(FIELDS[0], unknown=unknown)
    at_the_top, inside = b'{"a":1,"b":' + odd + b"}", b'{"a":1,"r":{"x":1,"b":' + odd + b"}}"
    for contract, text in ((nested, at_the_top), (nested, inside), (flat, at_the_top), (flat, twice)):
        for read in (contract.decode, contract.split):
            with pytest.raises(DECODE_ERRORS):
                read(text)


@given(st.data())
def test_splitting_agrees_with_decoding(data: st.DataObject) -> None:
    schema = {**data.draw(schemas()), "unknown": "keep"}
    contract = compile_record(schema)
    event = data.draw(values(parse(schema)))
    names = {field["name"] for field in schema["fields"]}
    others = data.draw(st.dictionaries(st.text(max_size=4).filter(lambda name: name not in names), st.integers()))
    text = json.dumps({**others, **event}).encode()
    value, declared, extra = contract.split(text)
    assert value == contract.decode(text)
    assert json.loads(declared) == event
    assert json.loads(extra) == others
    assert contract.split(declared)[1:] == (declared, b"{}")
    assert contract.encode(contract.decode(declared)) == contract.encode(value)


@given(st.data(), st.sampled_from(["keep", "reject", "open"]), st.booleans())
def test_what_is_quickly_taken_is_taken_whole(data: st.DataObject, unknown: str, escaped: bool) -> None:
    schema = {**data.draw(schemas()), "unknown": unknown}
    contract = compile_record(schema)
    event = data.draw(values(parse(schema)).flatmap(near))
    text = json.dumps(event, ensure_ascii=escaped).encode("utf-8", "replace")
    assert contract.quick is not None or model.depth(contract.record) is None
    if contract.quick is not None:
        checked(contract, contract.quick, text)


DECIMALS = {"bounded below": {"minimum": 0}, "unbounded": {}}


@pytest.mark.parametrize("bounds", DECIMALS.values(), ids=DECIMALS)
@pytest.mark.parametrize("scale", [0, 2])
def test_decimals_that_are_quickly_taken_are_taken(bounds: dict[str, int], scale: int) -> None:
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": scale, **bounds}
    contract = compiled({"name": "d", "type": decimal}, {"name": "m", "type": ["null", decimal], "default": None})
    assert contract.quick is not None
    for number in (
        "0",
        "-0",
        "1",
        "-1",
        "01",
        "12",
        "99",
        "123",
        "9999",
        "10000",
        "1.5",
        "-1.5",
        "1.55",
        "1.555",
        "1e1",
        "",
    ):
        for text in (f'{{"d":"{number}"}}', f'{{"d":{number}}}', f'{{"d":"1","m":"{number}"}}'):
            checked(contract, contract.quick, text.encode())
    contract.quick(b'{"d":"99","m":"12"}')
    contract.quick(b'{"d":99}')


def checked(contract: Compiled, quick: Callable[[bytes], object], text: bytes) -> None:
    """That what `quick` takes is taken whole."""
    for asked in {text, text.decode("latin-1").encode()} if contract.is_wide else {text}:
        try:
            quick(asked)
        except DECODE_ERRORS:
            continue
        assert contract.split(text)[1:] == (text, b"{}")


def test_no_hook_no_quick_form() -> None:
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2, "maximum": 5}
    assert compiled({"name": "d", "type": decimal}).quick is None


# -- limits


def test_bytes_are_limited() -> None:
    contract = compiled(maxBytes=7)
    contract.decode(b'{"a":1}')
    for read in (contract.decode, contract.split):
        with pytest.raises(FaultError) as refused:
            read(b'{"a":1 }')
        assert (refused.value.fault.code, refused.value.fault.expected) == ("too_large", "at most 7 bytes")


def test_by_default_an_event_has_16_kib_and_16_levels_and_a_record_of_ours_neither() -> None:
    large = b'{"a":1' + b" " * 16_384 + b"}"
    deep = b'{"a":1,"b":' + b"[" * 16 + b"]" * 16 + b"}"
    for text in (large, deep):
        assert compiled(kind="record").decode(text).a == 1
        with pytest.raises(FaultError):
            compiled().decode(text)
    compiled().decode(deep.replace(b"[]", b""))


def test_depth_is_measured_where_the_schema_does_not_bound_it() -> None:
    tree = {"name": "next", "type": ["null", "R"], "default": None}
    contract = compiled(tree, maxDepth=3)
    contract.decode(b'{"next":{"next":{}}}')
    for read in (contract.decode, contract.split):
        with pytest.raises(FaultError, match="at most 3 levels"):
            read(b'{"next":{"next":{"next":{}}}}')
    with pytest.raises(FaultError, match="at most 1 levels"):
        compiled(maxDepth=1).decode(b'{"a":1,"r":{"x":1}}')


@pytest.mark.parametrize("limits", [{"maxDepth": 0}, {"maxDepth": 201}, {"maxBytes": 0}, {"maxBytes": "1"}], ids=repr)
def test_a_limit_that_is_none_is_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="whole number"):
        compiled(**limits)


def levels(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(levels, value.values()), default=0)
    return 1 + max(map(levels, value), default=0) if isinstance(value, list) else 0


@given(
    st.recursive(
        st.integers() | st.text('[]{}"\\a'),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('[]{}"\\a'), inner, max_size=3),
        max_leaves=12,
    ),
    st.integers(0, 8),
)
def test_depth_is_measured_right(value: Any, limit: int) -> None:
    for text in (json.dumps(value), json.dumps(value, indent=1)):
        assert is_deeper(text.encode(), limit) == (levels(value) > limit)


@given(st.binary(max_size=30) | st.text('[]{}"\\', max_size=60).map(str.encode), st.integers(0, 5))
def test_depth_can_be_asked_of_anything(data: bytes, limit: int) -> None:
    assert is_deeper(data, limit) in (True, False)


@pytest.mark.parametrize("text", [b"[" * 17, b"[" * 17 + b"]" * 17, b'{"a":' * 17, b"[{" * 1000], ids=lambda t: t[:6])
def test_text_that_nests_too_deep_need_not_be_whole(text: bytes) -> None:
    assert is_deeper(text, 16)


# -- the schemas of this release

SCHEMAS = Registry(BUNDLED, drafts=True).schemas()


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.label)
def test_examples_keep_their_contracts(schema: Any) -> None:
    contract = compile_record(schema.resolved)
    for example in schema.source.get("examples", []):
        text = json.dumps(example).encode()
        assert contract.explain(text) == []
        assert contract.split(text) == (contract.decode(text), text, b"{}")
        value = contract.decode(text)
        assert contract.encode(value) == written_by_fastavro(schema.resolved, native(contract.record, value))
