"""Changes in sentences, and which of them break somebody."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings

from schemas.compatibility import check
from schemas.compatibility.types import parse_record
from schemas.diff import GROUPS, Change, diff
from schemas.lint import changed
from tests.schemas.compatibility.pairs import PAIRS, array, enum, field, fixed, logical, map_, of, record
from tests.schemas.compatibility.strategies import is_valid, pairs

TEXT = ["null", "string"]


def decimal(scale: int) -> dict[str, Any]:
    return logical("bytes", "decimal", precision=9, scale=scale)


def nested(*fields: Any, **attributes: Any) -> dict[str, Any]:
    return of(array(record(*fields, name="Item", **attributes)))


# (old, new, group, sentence, whether it is breaking)
SENTENCES: list[tuple[Any, Any, str, str, bool]] = [
    (
        record(),
        record(field("coupon", TEXT, default=None)),
        "fields",
        "field `coupon` added: optional text, default null",
        False,
    ),
    (record(), record(field("coupon", "string")), "fields", "field `coupon` added: text, required", True),
    (of("int", default=0), record(), "fields", "field `a` removed", False),
    (of("int"), record(), "fields", "field `a` removed", True),
    (
        of("int", default=0),
        record(field("b", "int", aliases=["a"], default=0)),
        "fields",
        "field `a` is now called `b`",
        False,
    ),
    (of("int"), record(field("b", "int", aliases=["a"])), "fields", "field `a` is now called `b`", True),
    (of("int"), of("int", default=1), "fields", "`a`: default 1, was none", False),
    (of("int", default=2), of("int", default=1), "fields", "`a`: default 1, was 2", False),
    (of("string", default=""), of("string"), "fields", '`a`: default none, was ""', True),
    (
        nested(),
        nested(field("price", TEXT, default=None)),
        "fields",
        "field `a[].price` added: optional text, default null",
        False,
    ),
    (of(enum("EUR")), of(enum("EUR CHF")), "types", "enum `a`: symbol `CHF` added", True),
    (
        of(enum("EUR", default="EUR")),
        of(enum("EUR CHF GBP", default="EUR")),
        "types",
        "enum `a`: symbols `CHF`, `GBP` added",
        False,
    ),
    (of(enum("EUR CHF")), of(enum("EUR")), "types", "enum `a`: symbol `CHF` removed", True),
    (of(enum("EUR")), of(enum("EUR", default="EUR")), "types", "enum `a`: default symbol EUR", False),
    (of("int"), of(["null", "int"]), "types", "`a` may now be null", True),
    (of(["null", "int"]), of("int"), "types", "`a` may no longer be null", True),
    (of(array("int")), of(array(["null", "int"])), "types", "`a[]` may now be null", True),
    (of(map_("int")), of(map_(["null", "int"])), "types", "`a{}` may now be null", True),
    (of(TEXT), of([*TEXT, "int"]), "types", "`a` may now be integer", True),
    (of([*TEXT, "int"]), of(TEXT), "types", "`a` may no longer be integer", True),
    (of("int"), of("long"), "types", "`a`: long integer, was integer", True),
    (of("int"), of("string"), "types", "`a`: text, was integer", True),
    (of("string"), of("bytes"), "types", "`a`: bytes, was text", True),
    (of("string"), of(array("string")), "types", "`a`: list of text, was text", True),
    (of(array("int")), of(array("long")), "types", "`a[]`: long integer, was integer", True),
    (of(decimal(2)), of(decimal(3)), "types", "`a`: decimal(9,3), was decimal(9,2)", True),
    (
        of(logical("long", "timestamp-millis")),
        of(logical("long", "timestamp-micros")),
        "types",
        "`a`: time in microseconds, was time in milliseconds",
        True,
    ),
    (of(fixed(4)), of(fixed(8)), "types", "`a`: fixed F(8), was fixed F(4)", True),
    (of(enum("x")), of(enum("x", "Other")), "types", "`a`: type Other, was E", True),
    (record(namespace="a"), record(namespace="b"), "types", "the schema itself: type b.R, was a.R", True),
    (of("int", maximum=9), of("int", maximum=99), "bounds", "`a`: maximum 99, was 9", False),
    (of("int", maximum=99), of("int", maximum=9), "bounds", "`a`: maximum 9, was 99", True),
    (of("int"), of("int", minimum=1), "bounds", "`a`: minimum 1", True),
    (of("int", minimum=1), of("int"), "bounds", "`a`: minimum removed, was 1", False),
    (
        of("string", allowed=["x"]),
        of("string", allowed=["x", "y"]),
        "bounds",
        '`a`: allowed ["x", "y"], was ["x"]',
        False,
    ),
    (record(), record(maxBytes=100), "bounds", "maxBytes 100", True),
    (of("int", doc="Old."), of("int", doc="New."), "meaning", "`a`: doc New., was Old.", False),
    (of("int", unit="s"), of("int", unit="ms"), "meaning", "`a`: unit ms, was s", True),
    (record(doc="Old."), record(doc="New."), "meaning", "doc New., was Old.", False),
    (of("int", pii="none"), of("int", pii="personal"), "privacy", "`a`: pii personal, was none", False),
    (of("int", pii="personal"), of("int", pii="none"), "privacy", "`a`: pii none, was personal", True),
    (record(owner="web"), record(owner="shop"), "schema", "owner shop, was web", False),
    (record(), record(status="deprecated"), "schema", "status deprecated", False),
    (record(), record(unknown="reject"), "schema", "the schema itself: unknown reject, was keep", True),
    (nested(), nested(unknown="open"), "schema", "`a[]`: unknown open, was keep", False),
]


@pytest.mark.parametrize(("old", "new", "group", "sentence", "is_breaking"), SENTENCES, ids=[s[3] for s in SENTENCES])
def test_a_change_is_a_sentence(old: Any, new: Any, group: str, sentence: str, is_breaking: bool) -> None:
    (change,) = diff(old, new)
    assert (change.group, change.sentence, change.is_breaking) == (group, sentence, is_breaking)


def test_what_breaks_hangs_on_the_mode() -> None:
    old, new = of("int"), of("int") | {"fields": [*of("int")["fields"], field("b", "int")]}
    assert [change.is_breaking for change in diff(old, new)] == [True]
    (mode, added) = sorted(diff(old, new | {"compatibility": "FORWARD"}), key=lambda change: change.group, reverse=True)
    assert (mode.sentence, mode.is_breaking) == ("compatibility FORWARD", False)
    assert (added.group, added.is_breaking) == ("fields", False)


def test_changes_of_one_field_are_told_apart() -> None:
    old = of(enum("x y"), doc="Old.", pii="none")
    new = of(["null", enum("x z")], doc="New.", pii="personal")
    assert [(change.sentence, change.is_breaking) for change in diff(old, new)] == [
        ("`a` may now be null", True),
        ("enum `a`: symbol `z` added", True),
        ("enum `a`: symbol `y` removed", True),
        ("`a`: doc New., was Old.", False),
        ("`a`: pii personal, was none", False),
    ]


def test_reasons_say_who_cannot_read_what() -> None:
    ((added, removed),) = [diff(of(enum("x")), of(enum("y")))]
    assert added.reasons == (
        "old readers of new data: the writer may write `y`; the reader's enum E has neither that nor a default",
    )
    assert removed.reasons[0].startswith("new readers of old data: the writer may write `x`")


def test_a_change_below_a_renamed_field_is_found_in_both_directions() -> None:
    old = record(field("a", record(field("b", "int"), name="Q"), aliases=["z"]))
    new = record(field("z", record(field("b", "string"), name="Q"), aliases=["a"]))
    inner = next(change for change in diff(old, new) if change.path == "$.z.b")
    assert inner.sentence == "`z.b`: text, was integer"
    assert len(inner.reasons) == 2


def test_a_type_that_is_used_twice_is_described_once_and_judged_twice() -> None:
    def twice(type_: str) -> dict[str, Any]:
        return record(field("a", record(field("x", type_), name="Q")), field("b", "Q"))

    assert [(change.sentence, len(change.reasons)) for change in diff(twice("int"), twice("string"))] == [
        ("`a.x`: text, was integer", 2),
        ("`b.x` is not compatible any more", 2),
    ]


def test_changes_are_grouped() -> None:
    old = record(field("a", "int"), field("b", "int"), owner="x", doc="Old.")
    new = record(field("a", "long", maximum=1, pii="none", doc="New."), owner="y", doc="New.")
    groups = [change.group for change in diff(old, new)]
    assert groups == sorted(groups, key=GROUPS.index)
    assert set(groups) == set(GROUPS)


def test_a_recursive_change_is_told_once() -> None:
    def tree(value: str) -> dict[str, Any]:
        return record(field("value", value), field("left", ["null", "R"]))

    assert [change.path for change in diff(tree("int"), tree("string"))] == ["$.value"]


def _is_breaking(old: Any, new: Any) -> bool:
    errors = [each for each in changed(parse_record(new), [(1, parse_record(old))]) if each.rule.severity == "error"]
    return bool(check("FULL", new, [(1, old)]) or errors)


def _is_last_resort(change: Change) -> bool:
    return change.sentence.endswith("is not compatible any more")


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_what_the_check_calls_breaking_has_a_sentence(pair: Any) -> None:
    old, new = (record(field("a", copy.deepcopy(schema)), name="Outer") for schema in (pair.old, pair.new))
    for before, after in ((old, new), (new, old)):
        changes = diff(before, after)
        assert any(change.is_breaking for change in changes) == _is_breaking(before, after)
        assert pair.name == "used twice, both told" or not any(map(_is_last_resort, changes)), changes


@given(pairs())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
def test_breaking_is_what_the_check_calls_breaking(drawn: tuple[Any, Any]) -> None:
    assume(is_valid(drawn[0]) and is_valid(drawn[1]))
    assert diff(drawn[0], drawn[0]) == []
    assert any(change.is_breaking for change in diff(*drawn)) == _is_breaking(*drawn)
