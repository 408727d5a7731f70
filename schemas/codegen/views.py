"""All versions of an event's contract → typed ClickHouse views over `events`, one row an event, one column a property.

A new version adds columns and rewrites none: a column keeps its name, place and type for ever. Where a version gives a
field another type, that is another column. Fields that rows of another version lack have the default of the version
that the row's properties are of.

`v_SUBJECT` holds what the contract declares and classes as not personal. A field without a class counts as personal:
nobody has looked at it. `v_SUBJECT_pii` holds everything, and is there where the first leaves a field out. Properties
that the contract does not declare are of no class, so the first view tells their names only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.codegen.columns import ELEMENT, Column, Place, columns, identifier, quoted, zero
from schemas.codegen.parse import parse
from schemas.references import full_name

# Raised whenever other text is generated from the same schemas: of two releases, the one with the greater number is
# right about a view.
COMPILER = 1
_OPEN_CLASSES = frozenset({"none", "pseudonymous"})
_OPEN, _UNCLASSED = "", "not classed"
_SEVERITY = (_OPEN, _UNCLASSED, "personal", "sensitive")
_TIME = "DateTime64(3, 'UTC')"
_NAME = "LowCardinality(String)"
# Names that expressions of a view use themselves: a column of that name would be taken for what they mean.
_RESERVED = frozenset({"events", "extra", *(f"{ELEMENT}{depth}" for depth in range(32))})


class ViewColumn(NamedTuple):
    name: str
    type: str
    comment: str
    expression: str


def _of_events(name: str, type_: str, comment: str, *, column: str = "") -> ViewColumn:
    return ViewColumn(name, type_, comment, f"events.{column or name}")


# What every view begins with. Never to be added to: columns of views keep their places.
_COMMON = (
    _of_events("arrival_day", "Date", "UTC day on which it arrived; queries of days that name it read only those"),
    _of_events("tenant", _NAME, "Tenant"),
    _of_events("event_id", "String", "Idempotency key within the tenant"),
    _of_events("occurred_at", _TIME, "When it happened"),
    _of_events("received_at", _TIME, "When the collector received it"),
    _of_events("visitor_id", "String", "Visitor"),
    _of_events("session_id", "String", "Session"),
    _of_events("user_id", "String", "Known user, or empty"),
    _of_events("event_name", _NAME, "Name of a custom event", column="name"),
    _of_events("url", "String", "Address of the page or request"),
    _of_events("path", "String", "Path of url"),
    _of_events("referrer", "String", "Address the visitor came from"),
    _of_events("referrer_host", _NAME, "Host of referrer"),
    _of_events("utm_source", _NAME, "Campaign parameter of url"),
    _of_events("utm_medium", _NAME, "Campaign parameter of url"),
    _of_events("utm_campaign", _NAME, "Campaign parameter of url"),
    _of_events("consent_state", _NAME, "Consent when it happened"),
    _of_events("version", "UInt16", "Version of the contract it was validated against"),
    _of_events("stable_version", "UInt16", "Version whose shape its properties have; 0 if that is version itself"),
    ViewColumn(
        "extra_names",
        "Array(String)",
        "Names of properties that the contract does not declare",
        "JSONExtractKeys(events.extra)",
    ),
)
_EXTRA = _of_events("extra", "String", "JSON object of properties that the contract does not declare")
# Version of the contract whose shape a row's properties have.
_SHAPE = "if(events.stable_version = 0, events.version, events.stable_version)"


@dataclass(frozen=True, slots=True)
class View:
    name: str
    comment: str
    event: str
    columns: tuple[ViewColumn, ...]

    @property
    def statement(self) -> str:
        declared = ",\n".join(f"    {identifier(c.name)} {c.type} COMMENT {quoted(c.comment)}" for c in self.columns)
        selected = ",\n".join(f"    {c.expression} AS {identifier(c.name)}" for c in self.columns)
        return (
            f"CREATE OR REPLACE VIEW {identifier(self.name)} (\n{declared}\n) AS SELECT\n{selected}\n"
            f"FROM events\nWHERE events.event = {quoted(self.event)}\nCOMMENT {quoted(self.comment)}"
        )


def view_sql(versions: Sequence[dict[str, Any]], subject: str) -> list[str]:
    """Statements that make the views of an event; they can be run again.

    `versions` are the self-contained schemas of its versions 1, 2, …

    Raises:
        ConfigError: a schema has a type that JSON has no form for.
    """
    return [view.statement for view in views(dict(enumerate(versions, 1)), subject)]


def views(versions: dict[int, dict[str, Any]], subject: str) -> list[View]:
    """The views of an event: `v_SUBJECT`, and `v_SUBJECT_pii` if that hides something."""
    properties = _collect(versions)
    doc = str(max(versions.items())[1].get("doc", ""))
    shown = sorted((p for p in properties if p.shown_since is not None), key=lambda p: p.shown_since or 0)
    plain = View(f"v_{subject}", doc, subject, (*_COMMON, *(p.column(masked=p.personal) for p in shown)))
    if not any(p.ever_personal for p in properties):
        return [plain]
    everything = (*_COMMON, _EXTRA, *(p.column(masked=False) for p in properties))
    return [plain, View(f"v_{subject}_pii", f"{doc} With personal data.".strip(), subject, everything)]


class _Described(NamedTuple):
    doc: str
    pii: str | None


@dataclass(slots=True)
class _Property:
    """A column through the versions. `expressions` are by the version that brought each."""

    name: str
    type: str
    path: tuple[str, ...]
    expressions: dict[int, str] = field(default_factory=dict)
    doc: str = ""
    pii: str = _OPEN  # by the newest version that has something at its path
    ever_personal: bool = False
    shown_since: int | None = None  # version that first classed it as not personal

    @property
    def personal(self) -> bool:
        return self.pii != _OPEN

    def declare(self, version: int, column: Column, doc: str) -> None:
        if not self.expressions or self.expressions[max(self.expressions)] != column.expression:
            self.expressions[version] = column.expression
        self.doc = doc

    def classify(self, version: int, classes: dict[tuple[str, ...], str]) -> None:
        """Take over the class of what a version has at this path, above or below it.

        Whatever type this column has: it reads what stands there in rows of that version too.
        """
        met = [pii for path, pii in classes.items() if all(a == b for a, b in zip(path, self.path, strict=False))]
        if met:
            self.pii = max(met, key=_SEVERITY.index)
        self.ever_personal = self.ever_personal or self.personal
        if not self.personal and self.shown_since is None:
            self.shown_since = version

    def column(self, *, masked: bool) -> ViewColumn:
        comment = f"{self.doc} PII: {self.pii}.".strip() if self.personal else self.doc
        if masked:
            return ViewColumn(self.name, self.type, f"{comment} Left out here.", zero(self.type))
        first, *later = sorted(self.expressions.items())
        expression = first[1]
        for version, changed in later:
            expression = f"if({_SHAPE} < {version}, {expression}, {changed})"
        return ViewColumn(self.name, self.type, comment, expression)


def _collect(versions: dict[int, dict[str, Any]]) -> list[_Property]:
    """Columns of all versions, in the order they appeared."""
    found: dict[tuple[tuple[str, ...], str], _Property] = {}
    taken = {*_RESERVED, *(column.name for column in _COMMON)}
    for version, schema in sorted(versions.items()):
        described = dict(_descriptions(schema, ""))
        classes: dict[tuple[str, ...], str] = {}
        for column in columns(parse(schema), source="events.properties"):
            key = (column.path, column.type)
            fields = [described[place] for place in column.places]
            if key not in found:
                others = [each.name for each in found.values() if each.path == column.path]
                name = _free_name(f"{others[0]}_v{version}" if others else "_".join(column.path), taken)
                taken.add(name)
                found[key] = _Property(name, column.type, column.path)
            found[key].declare(version, column, fields[-1].doc)
            classes[column.path] = _class(column, fields)
        for each in found.values():
            each.classify(version, classes)
    return list(found.values())


def _class(column: Column, fields: list[_Described]) -> str:
    """The strictest class on the way to a column."""
    classes = [each.pii for each in fields if each.pii is not None]
    closed = [each for each in classes if each not in _OPEN_CLASSES]
    if closed:
        return "sensitive" if "sensitive" in closed else "personal"
    return _UNCLASSED if column.opaque or not classes else _OPEN


def _free_name(name: str, taken: set[str]) -> str:
    """`name`, or one like it that is no other column's."""
    candidates = (name, f"properties_{name}", *(f"properties_{name}_{n}" for n in range(2, len(taken) + 3)))
    return next(each for each in candidates if each not in taken)


def _descriptions(node: Any, namespace: str) -> Iterator[tuple[Place, _Described]]:
    """What the schema's JSON says about each field, by the full name of its record and its own."""
    if isinstance(node, list):
        for branch in node:
            yield from _descriptions(branch, namespace)
    if not isinstance(node, dict):
        return
    if node.get("type") != "record":
        for key in ("type", "items", "values"):
            yield from _descriptions(node.get(key), namespace)
        return
    name = full_name(node["name"], node.get("namespace", namespace) or "")
    for each in node["fields"]:
        unit = f" Unit: {each['unit']}." if "unit" in each else ""
        yield (name, each["name"]), _Described(f"{each.get('doc', '')}{unit}".strip(), each.get("pii"))
        yield from _descriptions(each["type"], name.rpartition(".")[0])
