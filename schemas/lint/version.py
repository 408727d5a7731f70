"""Rules for one version alone: the tracking plan is complete, names fit, lifecycle and examples hold.

What stands in an earlier version already cannot be corrected in a later one without breaking it, so names and forms of
fields are judged where they are new.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from core.errors import ConfigError
from schemas.codegen.compiled import compile_record
from schemas.compatibility.modes import MODES
from schemas.compatibility.pairing import FieldPair, everything_in
from schemas.compatibility.resolution import at
from schemas.compatibility.types import Field, Record, branches, is_null
from schemas.lint.changes import words
from schemas.lint.rules import PII_CLASSES, Finding, finding

_SNAKE_CASE = re.compile(r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$")
_CONTEXT_SUFFIX = "_context"
# Columns that the table of events and the typed views have for every event.
EVENT_COLUMNS = frozenset(
    {
        *("event_id", "event", "event_name", "name", "version", "stable_version", "tenant"),
        *("occurred_at", "received_at", "arrival_at", "arrival_day", "consent_state"),
        *("visitor_id", "session_id", "user_id", "url", "path", "referrer", "referrer_host"),
        *("utm_source", "utm_medium", "utm_campaign", "context", "extra", "extra_names"),
        *("ua_browser", "ua_browser_version", "ua_os", "ua_device", "is_bot", "referrer_type", "referrer_name"),
        *("utm_term", "utm_content", "click_id_type", "click_id", "channel"),
        *("geo_country", "geo_region", "geo_city", "session_derived", "time_clamped"),
    }
)
_RECORD_VALUES: dict[str, tuple[str, ...]] = {
    "status": ("draft", "stable", "deprecated"),
    "unknown": ("keep", "reject", "open"),
    "compatibility": MODES,
}
_DATES = ("since", "sunset")


@dataclass(frozen=True, slots=True)
class _Place:
    """A field, and whether no earlier version has it."""

    path: str
    field: Field
    is_new: bool


def faults_in(
    subject: str,
    record: Record,
    *,
    earlier: Sequence[Record],
    today: date,
    faults_of: Callable[[Any], list[str]] | None,
) -> Iterator[Finding]:
    """Findings about `record`, the next version of `subject` after `earlier`."""
    is_client_data = record.source.get("kind", "record") != "record"
    places = list(_places(record, earlier))
    yield from _names(subject, record, is_first=not earlier)
    yield from _docs(record, places)
    yield from _values(record)
    yield from _lifecycle(record, today)
    yield from (each for place in places if place.is_new for each in _new_field(place))
    if is_client_data:
        yield from _plan(record, places)
        yield from _examples(record, faults_of)
        yield from _compiled(record)
        if not earlier:
            yield from (each for place in places for each in _required(place))
    if record.source.get("kind") == "event":
        yield from (each for place in places if place.is_new for each in _column(place))


def lifecycle_faults(record: Record, today: date) -> Iterator[Finding]:
    """What can become wrong with a released version, whose content does not change any more."""
    yield from _values(record)
    yield from _lifecycle(record, today)


def _places(record: Record, earlier: Sequence[Record]) -> Iterator[_Place]:
    """All fields but those of types that come from other files, which are judged there."""
    foreign = {reference["name"] for reference in record.source.get("references", ())}
    known = {pair.path for each in earlier for pair in everything_in(each) if isinstance(pair, FieldPair)}
    skipped: tuple[str, ...] = ()
    for pair in everything_in(record):
        if isinstance(pair, FieldPair):
            if pair.new is not None and not pair.path.startswith(skipped):
                yield _Place(pair.path, pair.new, pair.path not in known)
        elif isinstance(pair.new, Record) and pair.new.full_name in foreign:
            skipped = (*skipped, f"{pair.path}.")


def _names(subject: str, record: Record, *, is_first: bool) -> Iterator[Finding]:
    if not _SNAKE_CASE.match(subject):
        yield finding("subject_name", "$", f"the subject `{subject}` is not in snake_case")
    expected = {camel_case(subject)}
    if record.source.get("kind") == "context":
        expected.add(camel_case(subject.removesuffix(_CONTEXT_SUFFIX)))
    if is_first and record.name not in expected:
        yield finding("record_name", "$", f"the record is called {record.name}, not {' or '.join(sorted(expected))}")


def camel_case(subject: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in subject.split("_"))


def _docs(record: Record, places: list[_Place]) -> Iterator[Finding]:
    if not record.source.get("doc"):
        yield finding("doc_missing", "$", f"the record {record.name} has no doc")
    for place in places:
        if not place.field.source.get("doc"):
            yield finding("doc_missing", place.path, f"{at(place.path)} has no doc")


def _plan(record: Record, places: list[_Place]) -> Iterator[Finding]:
    """What makes a schema an entry of the tracking plan."""
    if not record.source.get("owner"):
        yield finding("owner_missing", "$", f"{record.name} has no owner")
    if not record.source.get("fires") and record.source.get("kind") == "event":
        yield finding("fires_missing", "$", f"{record.name} does not say when it fires")
    if not record.source.get("purpose"):
        yield finding("purpose_missing", "$", f"{record.name} does not say what it is collected for")
    if not record.source.get("examples"):
        yield finding("examples_missing", "$", f"{record.name} has no example")
    for place in places:
        if "pii" not in place.field.source:
            yield finding("pii_missing", place.path, f"{at(place.path)} has no PII class")
        elif place.field.source["pii"] not in PII_CLASSES:
            yield _not_one_of("pii", place.field.source["pii"], PII_CLASSES, place.path)


def _values(record: Record) -> Iterator[Finding]:
    for name, allowed in _RECORD_VALUES.items():
        if name in record.source and record.source[name] not in allowed:
            yield _not_one_of(name, record.source[name], allowed, "$")
    for name in _DATES:
        value = record.source.get(name)
        if value is not None and _date(value) is None:
            yield finding("attribute_invalid", "$", f"`{name}` is {words(value)}, not a date like 2026-01-31")


def _not_one_of(name: str, value: Any, allowed: tuple[str, ...], path: str) -> Finding:
    return finding("attribute_invalid", path, f"{at(path)}: `{name}` is {words(value)}, not {' or '.join(allowed)}")


def _lifecycle(record: Record, today: date) -> Iterator[Finding]:
    sunset = _date(record.source.get("sunset"))
    if sunset is not None and sunset < today:
        yield finding("sunset_passed", "$", f"the sunset of {record.name} was on {sunset}")
    if record.source.get("status") == "deprecated" and not {"deprecatedBy", "sunset"} & record.source.keys():
        yield finding("deprecated_alone", "$", f"{record.name} is deprecated, with neither a successor nor a last day")


def _date(value: Any) -> date | None:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        return None


def _new_field(place: _Place) -> Iterator[Finding]:
    field = place.field
    if not _SNAKE_CASE.match(field.name):
        yield finding("field_name", place.path, f"{at(place.path)} is not in snake_case")
    nullable = [is_null(branch) for branch in branches(field.type)]
    if any(nullable) and len(nullable) > 1:
        if not nullable[0]:
            yield finding(
                "nullable_form", place.path, f"{at(place.path)} may be null, but null is not its first branch"
            )
        elif not field.has_default or field.source["default"] is not None:
            yield finding("nullable_form", place.path, f"{at(place.path)} may be null, but its default is not null")


def _column(place: _Place) -> Iterator[Finding]:
    is_top_level = place.path == f"$.{place.field.name}"
    if is_top_level and place.field.name in EVENT_COLUMNS:
        yield finding("column_clash", place.path, f"{at(place.path)} is the name of a column that every event has")


def _required(place: _Place) -> Iterator[Finding]:
    if not place.field.has_default and not any(map(is_null, branches(place.field.type))):
        yield finding("required_at_first", place.path, f"{at(place.path)} is required: it has no default")


def _examples(record: Record, faults_of: Callable[[Any], list[str]] | None) -> Iterator[Finding]:
    if faults_of is None:
        return
    for number, example in enumerate(record.source.get("examples", ()), start=1):
        for fault in faults_of(example):
            yield finding("example_invalid", "$", f"example {number} breaks the contract: {fault}")


def _compiled(record: Record) -> Iterator[Finding]:
    """What makes the validators is the judge, so that both say the same. It stops at the first fault."""
    try:
        compile_record(record.source)
    except ConfigError as error:
        path, _, what = error.message.partition(": ")
        yield finding("not_compilable", path, f"{at(path)}: {what}")
