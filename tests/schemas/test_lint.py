"""Each lint rule fires on its smallest case and is silent on the case beside it."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from schemas.codegen.views import views
from schemas.compatibility.types import parse_record
from schemas.lint import RULES, Finding, lint
from schemas.lint.version import EVENT_COLUMNS, camel_case, lifecycle_faults
from schemas.registry import bundled

TODAY = date(2026, 6, 15)
OPTIONAL = ["null", "string"]


def field(name: str = "coupon", type_: Any = None, **attributes: Any) -> dict[str, Any]:
    """An optional text, complete in every respect."""
    whole = {"name": name, "type": type_ or OPTIONAL, "doc": f"The {name}.", "pii": "none"}
    if (type_ or OPTIONAL)[0] == "null":
        whole["default"] = None
    return {key: value for key, value in (whole | attributes).items() if value is not ...}


def event(*fields: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    """A contract without fault. An attribute that is `...` is left out."""
    whole = {
        "type": "record",
        "name": "OrderPlaced",
        "namespace": "sluice.events",
        "kind": "event",
        "doc": "An order was placed.",
        "owner": "shop",
        "fires": "When the order is confirmed.",
        "purpose": "Revenue.",
        "examples": [{}],
        "fields": list(fields),
    }
    return {key: value for key, value in (whole | attributes).items() if value is not ...}


def of(type_: Any, **attributes: Any) -> dict[str, Any]:
    """An event with one field `a` of a type, optional so that nothing else is wrong with it."""
    return event(field("a", ["null", type_], **attributes))


def findings(schema: dict[str, Any], *earlier: dict[str, Any], subject: str = "order_placed") -> list[Finding]:
    return lint(subject, schema, earlier=list(enumerate(earlier, 1)), today=TODAY, faults_of=faults_of)


def faults_of(example: Any) -> list[str]:
    return ["$.coupon: expected text"] if "coupon" in example else []


def codes(*args: Any, **named: Any) -> set[tuple[str, str]]:
    return {(found.rule.code, found.path) for found in findings(*args, **named)}


def decimal(precision: int, scale: int) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


def timestamp(unit: str) -> dict[str, Any]:
    return {"type": "long", "logicalType": f"timestamp-{unit}"}


def enum(*symbols: str, name: str = "E", **attributes: Any) -> dict[str, Any]:
    return {"type": "enum", "name": name, "symbols": list(symbols), **attributes}


def inner(*fields: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    return {"type": "record", "name": "Inner", "doc": "Inside.", "fields": list(fields), **attributes}


TEXT = {"type": "string"}
# rule: (path, (old, new) that break it, (old, new) beside it that do not)
Change = tuple[dict[str, Any], dict[str, Any]]
CHANGES: list[tuple[str, str, Change, Change]] = [
    ("logical_type_changed", "$.a", (of("long"), of(timestamp("millis"))), (of("long"), of({"type": "long"}))),
    ("logical_type_changed", "$.a", (of({"type": "int", "logicalType": "date"}), of("int")), (of("int"), of("int"))),
    (
        "logical_type_changed",
        "$.a",
        (of({"type": "string", "logicalType": "uuid"}), of({"type": "string", "logicalType": "colour"})),
        (of({"type": "string", "logicalType": "uuid"}), of({"type": "string", "logicalType": "uuid"})),
    ),
    (
        "logical_type_changed",
        "$.a[]",
        (of({"type": "array", "items": "long"}), of({"type": "array", "items": timestamp("millis")})),
        (of({"type": "array", "items": "long"}), of({"type": "array", "items": "long"})),
    ),
    (
        "timestamp_unit_changed",
        "$.a",
        (of(timestamp("millis")), of(timestamp("micros"))),
        (of(timestamp("millis")), of(timestamp("millis"))),
    ),
    ("decimal_changed", "$.a", (of(decimal(9, 2)), of(decimal(9, 3))), (of(decimal(9, 2)), of(decimal(9, 2)))),
    (
        "decimal_changed",
        "$.a",
        (of(decimal(9, 0)), of(decimal(12, 0))),
        (of({"type": "bytes", "logicalType": "decimal", "precision": 9}), of(decimal(9, 0))),
    ),
    (
        "namespace_changed",
        "$",
        (event(), event(namespace="other")),
        (event(), event(name="sluice.events.OrderPlaced", namespace="ignored")),
    ),
    (
        "namespace_changed",
        "$.a",
        (of(enum("x", namespace="o")), of(enum("x", namespace="n"))),
        (of(enum("x")), of(enum("x"))),
    ),
    ("name_changed", "$", (event(), event(name="Other", aliases=["OrderPlaced"])), (event(), event(aliases=["Other"]))),
    ("name_changed", "$.a", (of(enum("x")), of(enum("x", name="F"))), (of(enum("x")), of(enum("x", aliases=["F"])))),
    (
        "unit_changed",
        "$.a",
        (of("int", unit="s"), of("int", unit="ms")),
        (of("int", unit="s"), of("int", unit="s")),
    ),
    ("unit_changed", "$.a", (of("int"), of("int", unit="ms")), (of("int"), of("int", maximum=None))),
    (
        "meaning_changed",
        "$.a",
        (of("int", doc="Gross price."), of("int", doc="Net price.")),
        (of("int", doc="Gross price."), of("int", doc="gross  price")),
    ),
    (
        "pii_lowered",
        "$.a",
        (of("int", pii="personal"), of("int", pii="none")),
        (of("int", pii="none"), of("int", pii="personal")),
    ),
    (
        "pii_lowered",
        "$.a",
        (of("int", pii="pseudonymous"), of("int", pii=...)),
        (of("int", pii=...), of("int", pii="none")),
    ),
    (
        "pii_lowered",
        "$.a",
        (of("int", pii="sensitive"), of("int", pii="personal")),
        (of("int", pii="none"), of("int", pii=...)),
    ),
    (
        "enum_symbol_removed",
        "$.a",
        (of(enum("x", "y")), of(enum("x", default="x"))),
        (of(enum("x", "y")), of(enum("y", "x", "z"))),
    ),
    ("field_removed", "$.coupon", (event(field()), event()), (event(), event(field()))),
    (
        "field_renamed",
        "$.voucher",
        (event(field()), event(field("voucher", aliases=["coupon"]))),
        (event(field()), event(field(aliases=["voucher"]))),
    ),
    (
        "bounds_narrowed",
        "$.a",
        (of("int", minimum=0), of("int", minimum=1)),
        (of("int", minimum=1), of("int", minimum=0)),
    ),
    ("bounds_narrowed", "$.a", (of("int"), of("int", maximum=9)), (of("int", maximum=9), of("int"))),
    (
        "bounds_narrowed",
        "$.a",
        (of("string", minLength=0), of("string", minLength=1)),
        (of("string", minLength=1), of("string")),
    ),
    (
        "bounds_narrowed",
        "$.a",
        (of("string", maxLength=9), of("string", maxLength=8)),
        (of("string", maxLength=8), of("string", maxLength=9)),
    ),
    (
        "bounds_narrowed",
        "$.a",
        (of({"type": "array", "items": "int"}, maxItems=9), of({"type": "array", "items": "int", "maxItems": 8})),
        (of({"type": "array", "items": "int"}, maxItems=9), of({"type": "array", "items": "int", "maxItems": 9})),
    ),
    (
        "bounds_narrowed",
        "$.a[]",
        (of({"type": "array", "items": TEXT}), of({"type": "array", "items": TEXT | {"maxLength": 3}})),
        (
            of({"type": "array", "items": TEXT | {"maxLength": 3}}),
            of({"type": "array", "items": TEXT | {"maxLength": 4}}),
        ),
    ),
    (
        "bounds_narrowed",
        "$.a",
        (of("string", allowed=["x", "y"]), of("string", allowed=["x"])),
        (of("string", allowed=["x"]), of("string", allowed=["x", "y"])),
    ),
    (
        "bounds_narrowed",
        "$.a",
        (of("string"), of("string", allowed=["x"])),
        (of("string", allowed=["x"]), of("string")),
    ),
    ("bounds_narrowed", "$", (event(), event(maxBytes=1_000)), (event(maxBytes=1_000), event())),
    (
        "bounds_narrowed",
        "$",
        (event(kind="record"), event(kind="record", maxBytes=20_000)),
        (event(), event(maxBytes=20_000)),
    ),
    ("bounds_narrowed", "$", (event(maxDepth=16), event(maxDepth=4)), (event(), event(maxDepth=16))),
    ("unknown_tightened", "$", (event(), event(unknown="reject")), (event(unknown="reject"), event(unknown="keep"))),
    (
        "unknown_tightened",
        "$",
        (event(unknown="open"), event(unknown="reject")),
        (event(unknown="open"), event(unknown="keep")),
    ),
    (
        "unknown_tightened",
        "$",
        (event(unknown="keep"), event(unknown="reject")),
        (event(unknown="reject"), event(unknown="reject")),
    ),
    (
        "logical_type_changed",
        "$.a",
        (of(timestamp("millis")), of({"type": "long", "logicalType": "local-timestamp-micros"})),
        (of(timestamp("millis")), of(timestamp("micros"))),
    ),
    ("unknown_tightened", "$.a", (of(inner()), of(inner(unknown="reject"))), (of(inner()), of(inner()))),
    (
        "default_changed",
        "$.a",
        (event(field("a", "int", default=0)), event(field("a", "int", default=1))),
        (event(field("a", "int")), event(field("a", "int", default=1))),
    ),
    (
        "default_changed",
        "$.a",
        (event(field("a", "int", default=0)), event(field("a", "int", default=False))),
        (of("int"), of("int")),
    ),
    (
        "became_required",
        "$.a",
        (event(field("a", "int", default=0)), event(field("a", "int"))),
        (event(field("a", "int")), event(field("a", "int"))),
    ),
    ("type_promoted", "$.a", (of("int"), of("long")), (of("int"), of("int"))),
    ("type_promoted", "$.a", (of("double"), of("float")), (of("string"), of("boolean"))),
    ("json_form_changed", "$.a", (of("string"), of("bytes")), (of("int"), of("long"))),
    (
        "pii_lowered",
        "$.a.b",
        (of(inner(field("b", pii="personal"))), of(inner(field("b")))),
        (of(inner(field("b"))), of(inner(field("b")))),
    ),
]


@pytest.mark.parametrize(
    ("code", "path", "change", "neighbour"), CHANGES, ids=[f"{c[0]}-{n}" for n, c in enumerate(CHANGES)]
)
def test_a_change(code: str, path: str, change: Change, neighbour: Change) -> None:
    assert (code, path) in codes(change[1], change[0])
    assert code not in {found for found, _ in codes(neighbour[1], neighbour[0])}


# rule: (path, schema that breaks it, schema beside it that does not)
ALONE: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("doc_missing", "$", event(doc=...), event(doc="An order.")),
    ("doc_missing", "$.coupon", event(field(doc="")), event(field(doc="Its code."))),
    ("doc_missing", "$.a.b", of(inner(field("b", doc=...))), of(inner(field("b")))),
    (
        "doc_missing",
        "$.a[].b",
        of({"type": "array", "items": inner(field("b", doc=...))}),
        of({"type": "array", "items": inner(field("b"))}),
    ),
    ("owner_missing", "$", event(owner=...), event(kind="record", owner=...)),
    ("owner_missing", "$", event(owner=..., kind="context"), event(kind="context")),
    ("fires_missing", "$", event(fires=...), event(fires=..., kind="context")),
    ("purpose_missing", "$", event(purpose=...), event(purpose=..., kind="record")),
    ("examples_missing", "$", event(examples=[]), event(examples=[], kind="record")),
    ("pii_missing", "$.coupon", event(field(pii=...)), event(field(pii="sensitive"))),
    ("pii_missing", "$.a.b", of(inner(field("b", pii=...))), event(field(pii=...), kind="record")),
    ("attribute_invalid", "$.coupon", event(field(pii="secret")), event(field(pii="personal"))),
    ("attribute_invalid", "$", event(status="done"), event(status="stable")),
    ("attribute_invalid", "$", event(unknown="drop"), event(unknown="open")),
    ("attribute_invalid", "$", event(compatibility="FUL"), event(compatibility="FULL")),
    ("attribute_invalid", "$", event(sunset="soon"), event(sunset="2026-07-01")),
    ("attribute_invalid", "$", event(since=20260101), event(since="2026-01-01")),
    ("record_name", "$", event(name="Order"), event(name="OrderPlaced")),
    ("field_name", "$.couponCode", event(field("couponCode")), event(field("coupon_code"))),
    ("field_name", "$._coupon", event(field("_coupon")), event(field("coupon2"))),
    ("field_name", "$.a.bC", of(inner(field("bC"))), of(inner(field("b_c")))),
    ("column_clash", "$.url", event(field("url")), event(field("page_url"))),
    ("column_clash", "$.name", event(field("name")), event(field("name"), kind="context")),
    ("column_clash", "$.event_id", event(field("event_id")), of(inner(field("event_id")))),
    ("sunset_passed", "$", event(sunset="2026-06-14"), event(sunset="2026-06-15")),
    ("deprecated_alone", "$", event(status="deprecated"), event(status="deprecated", sunset="2027-01-01")),
    ("deprecated_alone", "$", event(status="deprecated"), event(status="deprecated", deprecatedBy="order_paid")),
    ("example_invalid", "$", event(examples=[{}, {"coupon": 1}]), event(examples=[{"total": 1}])),
    ("required_at_first", "$.a", event(field("a", "int")), event(field("a", "int", default=0))),
    ("required_at_first", "$.a", event(field("a", "int")), event(field("a", "int"), kind="record")),
    ("nullable_form", "$.coupon", event(field(type_=["string", "null"], default="")), event(field())),
    ("nullable_form", "$.coupon", event(field(default=...)), event(field(type_=["null", "string", "long"]))),
    (
        "not_compilable",
        "$.a",
        of({"type": "int", "logicalType": "time-millis"}),
        of({"type": "int", "logicalType": "date"}),
    ),
    (
        "not_compilable",
        "$.a",
        event(field("a", ["null", "string", "bytes"])),
        event(field("a", ["null", "string", "long"])),
    ),
    ("not_compilable", "$.a", event(field("a", ["null", "string", enum("x")])), event(field("a", ["null", "string"]))),
    ("not_compilable", "$.a", of("int", minimum=2, maximum=1), of("int", minimum=1, maximum=1)),
    ("not_compilable", "$", event(maxBytes=0), event(maxBytes=1)),
    ("not_compilable", "$.a", event(field("a", "int", default="x")), event(field("a", "int", default=1))),
]


@pytest.mark.parametrize(
    ("code", "path", "schema", "neighbour"), ALONE, ids=[f"{c[0]}-{n}" for n, c in enumerate(ALONE)]
)
def test_one_version(code: str, path: str, schema: dict[str, Any], neighbour: dict[str, Any]) -> None:
    assert (code, path) in codes(schema)
    assert code not in {found for found, _ in codes(neighbour)}


@pytest.mark.parametrize(
    ("subject", "is_wrong"), [("OrderPlaced", True), ("order-placed", True), ("order_placed", False)]
)
def test_the_subject_is_in_snake_case(subject: str, is_wrong: bool) -> None:
    assert (("subject_name", "$") in codes(event(), subject=subject)) == is_wrong


def test_every_rule_has_a_case() -> None:
    assert {case[0] for case in (*CHANGES, *ALONE)} | {"subject_name"} == set(RULES)


def test_a_complete_contract_is_clean() -> None:
    assert findings(event(field(), field("total", ["null", decimal(9, 2)]))) == []


def test_an_unchanged_version_is_clean() -> None:
    schema = event(field(pii="personal", unit="EUR", allowed=["x"]), field("kind_of", ["null", enum("x", "y")]))
    assert findings(schema, schema, schema) == []


@pytest.mark.parametrize("case", CHANGES, ids=[f"{c[0]}-{n}" for n, c in enumerate(CHANGES)])
def test_messages_name_the_field_and_the_version(case: tuple[str, str, Change, Change]) -> None:
    code, path, (old, new), _ = case
    (found,) = [each for each in findings(new, old) if (each.rule.code, each.path) == (code, path)]
    assert path.removeprefix("$").removeprefix(".") in found.message
    assert "version 1" in found.message
    assert found.rule.why.endswith(".")
    assert found.rule.instead.endswith((".", "`."))


def test_a_context_may_be_named_without_its_suffix() -> None:
    for name in ("Campaign", "CampaignContext"):
        assert codes(event(name=name, kind="context"), subject="campaign_context") == set()
    assert codes(event(name="Campaigns", kind="context"), subject="campaign_context") == {("record_name", "$")}


def test_what_an_earlier_version_has_is_not_judged_by_its_name_or_form_again() -> None:
    old = event(field("couponCode"), field("url"), field("a", ["string", "null"], default=""), name="Order")
    assert codes(old) == {
        ("field_name", "$.couponCode"),
        ("column_clash", "$.url"),
        ("nullable_form", "$.a"),
        ("record_name", "$"),
    }
    assert codes(old, old) == set()


def test_what_was_accepted_once_is_not_held_against_later_versions() -> None:
    one, two = of("int", unit="s"), of("int", unit="ms")
    assert codes(two, one) == {("unit_changed", "$.a")}
    assert codes(two, one, two) == set()


def test_a_field_that_comes_back_is_compared_with_what_it_was() -> None:
    one, two, three = event(field(pii="personal")), event(), event(field(pii="none"))
    (found,) = findings(three, one, two)
    assert found.rule.code == "pii_lowered"
    assert "version 1" in found.message
    assert codes(event(), one, two) == set(), "it was removed in version 2, not now"


def test_types_of_other_files_are_judged_there() -> None:
    reference = {"name": "sluice.contexts.Campaign", "subject": "campaign_context", "version": 1}
    campaign = {"type": "record", "name": "sluice.contexts.Campaign", "fields": [{"name": "someId", "type": "int"}]}
    within = of(campaign)
    assert {("doc_missing", "$.a.someId"), ("field_name", "$.a.someId")} <= codes(within)
    assert codes(within | {"references": [reference]}) == set()


def test_a_recursive_type_is_judged_once() -> None:
    tree = inner(field("value", doc=...), field("left", ["null", "Inner"]))
    assert codes(of(tree)) == {("doc_missing", "$.a.value")}
    assert codes(of(tree), of(tree)) == {("doc_missing", "$.a.value")}


def test_of_a_released_version_only_the_lifecycle_is_judged() -> None:
    record = parse_record(event(field(doc=...), owner=..., status="deprecated", sunset="2026-01-01"))
    assert [found.rule.code for found in lifecycle_faults(record, TODAY)] == ["sunset_passed"]


def test_without_a_judge_examples_are_not_judged() -> None:
    assert lint("order_placed", event(examples=[{"coupon": 1}]), today=TODAY) == []


def test_columns_of_every_event_are_those_of_the_views_and_of_the_table() -> None:
    (view,) = views({1: event()}, "order_placed")
    columns = {column.name for column in view.columns}
    table = {each["name"] for each in bundled().latest("event").source["fields"]}
    ours = {
        "raw_partition",
        "raw_offset",
        "properties",
        "source",
        "event_type",
    }  # nobody queries them beside properties
    assert columns | table - ours == EVENT_COLUMNS


def test_camel_case() -> None:
    assert camel_case("order_completed2_x") == "OrderCompleted2X"


def test_the_table_is_complete() -> None:
    assert all(rule.code == code for code, rule in RULES.items())
    assert json.dumps([rule.why for rule in RULES.values()])
    assert len({rule.code for rule in RULES.values()}) == len(RULES)
