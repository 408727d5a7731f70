"""The starter plan: what an entry of a tracking plan must say is said, and its examples are true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import msgspec
import pytest

from schemas import checks
from schemas.codegen.compiled import compile_record
from schemas.registry import Schema, bundled

EVENTS = {
    *("page_view", "custom_event", "identity", "session_start", "sign_up", "log_in", "search", "add_to_cart"),
    *("order_completed", "form_submitted", "error_shown", "experiment_viewed", "consent_changed"),
}
CONTEXTS = {
    "identity": "identity_context",
    "consent": "consent_context",
    "device": "device_context",
    "page": "page_context",
    "campaign": "campaign_context",
    "experiments": "experiment_context",
}
PLAN = [schema for schema in bundled().schemas() if schema.kind != "record"]
each_entry = pytest.mark.parametrize("schema", PLAN, ids=lambda schema: schema.label)


def fields(node: Any) -> Iterator[dict[str, Any]]:
    """All fields that a file declares, nested ones too."""
    if isinstance(node, dict):
        for field in node.get("fields", ()):
            yield field
            yield from fields(field["type"])
        yield from (inner for key in ("type", "items", "values") for inner in fields(node.get(key)))
    elif isinstance(node, list):
        yield from (field for branch in node for field in fields(branch))


def judged(schema: Schema, example: Any) -> list[str]:
    return [str(fault) for fault in compile_record(schema.resolved).explain(msgspec.json.encode(example))]


def test_the_plan_has_these_entries() -> None:
    assert set(bundled().subjects("event")) == EVENTS
    assert set(bundled().subjects("context")) == {*CONTEXTS.values(), "context"}


@each_entry
def test_an_entry_says_everything(schema: Schema) -> None:
    about = schema.source
    assert (about["status"], about["unknown"]) == ("stable", "open" if schema.subject == "custom_event" else "keep")
    date.fromisoformat(about["since"])
    assert about["owner"]
    assert about["metrics"]
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", metric) for metric in about["metrics"])
    for sentence in ("doc", "purpose", *(["fires"] if schema.kind == "event" else [])):
        assert about[sentence].endswith("."), sentence


@each_entry
def test_a_field_says_everything(schema: Schema) -> None:
    for field in fields(schema.source):
        assert field["doc"].endswith("."), field["name"]
        assert field["pii"] in ("none", "pseudonymous", "personal"), field["name"]


@each_entry
def test_texts_and_lists_are_bounded(schema: Schema) -> None:
    """What is not bounded is filled to the brim by some client."""
    for field in fields(schema.source):
        avro = field["type"][1] if isinstance(field["type"], list) else field["type"]
        if avro == "string":
            assert {"maxLength", "allowed"} & field.keys(), field["name"]
        if isinstance(avro, dict) and avro["type"] in ("array", "map"):
            assert "maxItems" in field, field["name"]


@each_entry
def test_two_examples_keep_the_contract(schema: Schema) -> None:
    assert len(schema.source["examples"]) >= 2
    for example in schema.source["examples"]:
        assert judged(schema, example) == []


@each_entry
def test_examples_of_fields_keep_the_contract(schema: Schema) -> None:
    whole = schema.source["examples"][0]
    for field in schema.source["fields"]:
        for value in field.get("examples", ()):
            assert judged(schema, whole | {field["name"]: value}) == []


def test_the_context_of_events_is_made_of_the_contexts() -> None:
    context = bundled().latest("context")
    references = {each["name"]: each["subject"] for each in context.source["references"]}
    found = {}
    for field in context.source["fields"]:
        inner = field["type"][1]
        found[field["name"]] = references[inner["items"] if isinstance(inner, dict) else inner]
    assert found == CONTEXTS


@pytest.mark.parametrize("subject", [*CONTEXTS.values(), "context"])
def test_contexts_are_lenient(subject: str) -> None:
    schema = bundled().latest(subject)
    assert all("default" in field for field in fields(schema.source))
    assert judged(schema, {}) == []
    assert judged(schema, {"something": {"of": ["ours"]}}) == []


@pytest.mark.parametrize(
    ("subject", "context"),
    [
        ("order_completed", "campaign_context"),
        ("experiment_viewed", "experiment_context"),
        ("consent_changed", "consent_context"),
    ],
)
def test_an_event_shares_the_type_of_a_context(subject: str, context: str) -> None:
    assert context in {each["subject"] for each in bundled().latest(subject).source["references"]}


def test_amounts_are_decimals_with_a_currency() -> None:
    for subject in ("add_to_cart", "order_completed"):
        about = {field["name"]: field for field in fields(bundled().latest(subject).source)}
        amounts = [field for field in about.values() if field.get("unit") == "currency"]
        assert amounts
        assert all("decimal" in str(field["type"]) and field["minimum"] == 0 for field in amounts)
        assert all(re.fullmatch(r"[A-Z]{3}", code) for code in about["currency"]["allowed"])


def test_the_plan_passes_its_own_check() -> None:
    found = checks.report(None, subjects=frozenset(schema.subject for schema in PLAN), today=date(2026, 11, 21))
    assert [problem.message for problem in found.problems if problem.severity == "error"] == []
    assert found.versions == len(PLAN)
