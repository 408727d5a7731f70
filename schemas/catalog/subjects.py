"""What the catalog knows of a registry: events and contexts, who uses whom, which metric is fed by what, what is
personal. Values only; pages are `site`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from core.errors import ConfigError
from schemas.catalog.fields import FieldRow, rows
from schemas.catalog.history import Step, history, mode_of
from schemas.catalog.queries import Warehouse, warehouse
from schemas.compatibility.types import parse_record
from schemas.references import full_name
from schemas.registry import Kind, Registry, Schema

# From what must be guarded most to what need not be; then what nobody has classified.
PII_CLASSES = ("sensitive", "personal", "pseudonymous", "none", "")
# The subject that describes the `context` object every event may carry.
EVENT_CONTEXT = "context"


@dataclass(frozen=True, slots=True)
class Subject:
    """An event or a context, as its newest version has it.

    `rows` are its fields, `gone` those that only older versions have, with the last version that did. `pii` is the most
    guarded class among its fields and those of the contexts it uses, empty if nobody has classified any. `warehouse` is
    None for contexts and for events that no view can be made of.
    """

    schema: Schema
    versions: tuple[Schema, ...]
    rows: tuple[FieldRow, ...]
    gone: tuple[tuple[FieldRow, int], ...]
    history: tuple[Step, ...]
    uses: tuple[str, ...]
    used_by: tuple[str, ...]
    pii: str
    warehouse: Warehouse | None

    @property
    def name(self) -> str:
        return self.schema.subject

    @property
    def kind(self) -> Kind:
        return self.schema.kind

    @property
    def status(self) -> str:
        return "draft" if self.schema.draft else self.text("status") or "stable"

    @property
    def owner(self) -> str:
        return self.text("owner")

    @property
    def unknown(self) -> str:
        return self.text("unknown") or "keep"

    @property
    def compatibility(self) -> str:
        return mode_of(self.schema)

    @property
    def metrics(self) -> list[str]:
        return list(dict.fromkeys(map(str, self._list("metrics"))))

    @property
    def examples(self) -> list[Any]:
        return self._list("examples")

    def text(self, attribute: str) -> str:
        value = self.schema.source.get(attribute)
        return value if isinstance(value, str) else ""

    def _list(self, attribute: str) -> list[Any]:
        value = self.schema.source.get(attribute)
        return value if isinstance(value, list) else []


@dataclass(frozen=True, slots=True)
class PrivateField:
    """A field of a PII class. `gone_after` is the last version that has it, None if the newest does."""

    subject: Subject
    row: FieldRow
    gone_after: int | None


@dataclass(frozen=True, slots=True)
class Catalog:
    """`envelope` are the fields that every event has besides its properties."""

    events: tuple[Subject, ...]
    contexts: tuple[Subject, ...]
    envelope: tuple[FieldRow, ...]

    @property
    def subjects(self) -> tuple[Subject, ...]:
        return (*self.events, *self.contexts)

    def find(self, name: str) -> Subject | None:
        return next((each for each in self.subjects if each.name == name), None)

    def metrics(self) -> dict[str, list[Subject]]:
        """Subjects that feed each metric, by its name."""
        names = sorted({metric for subject in self.subjects for metric in subject.metrics})
        return {name: [each for each in self.subjects if name in each.metrics] for name in names}

    def private(self) -> dict[str, list[PrivateField]]:
        """All fields, also those that only old versions have: what was stored is still there. By class."""
        fields = [PrivateField(subject, row, None) for subject in self.subjects for row in subject.rows]
        fields += [PrivateField(subject, row, last) for subject in self.subjects for row, last in subject.gone]
        # What a context describes has its classes there; the field that holds it stands for nothing of its own.
        own = [field for field in fields if not field.row.contexts]
        classes = {name: [f for f in own if _class_of(f.row) == name] for name in PII_CLASSES}
        return {name: found for name, found in classes.items() if found}


def read(registry: Registry) -> Catalog:
    """The newest version of each event and context that the registry shows."""
    newest = [registry.latest(name) for kind in _SHOWN for name in registry.subjects(kind)]
    contexts = {_full_name(schema): schema.subject for schema in registry.schemas("context")}
    used_by: dict[str, list[str]] = {schema.subject: [] for schema in newest}
    for schema in newest:
        for used in _uses(schema):
            used_by.setdefault(used, []).append(schema.subject)
    subjects = [_subject(registry, schema, contexts, used_by[schema.subject]) for schema in newest]
    return Catalog(
        events=tuple(subject for subject in subjects if subject.kind == "event"),
        contexts=tuple(subject for subject in subjects if subject.kind == "context"),
        envelope=_envelope(registry),
    )


_SHOWN: tuple[Kind, ...] = ("event", "context")


def _subject(registry: Registry, schema: Schema, contexts: dict[str, str], used_by: list[str]) -> Subject:
    versions = tuple(registry.get(schema.subject, version) for version in registry.versions(schema.subject))
    # A context's own page describes its fields, also where they lead back to it.
    others = {name: subject for name, subject in contexts.items() if subject != schema.subject}
    fields = _rows(schema, others)
    return Subject(
        schema=schema,
        versions=versions,
        rows=fields,
        gone=tuple(_gone(versions, others, {row.path for row in fields})),
        history=tuple(history(versions)),
        uses=_uses(schema),
        used_by=tuple(used_by),
        pii=_most_guarded(schema),
        warehouse=_warehouse(versions, fields) if schema.kind == "event" else None,
    )


def _rows(schema: Schema, contexts: dict[str, str]) -> tuple[FieldRow, ...]:
    return tuple(rows(parse_record(schema.resolved), contexts))


def _gone(versions: tuple[Schema, ...], contexts: dict[str, str], seen: set[str]) -> Iterator[tuple[FieldRow, int]]:
    for schema in reversed(versions):
        for row in _rows(schema, contexts):
            if row.path not in seen:
                seen.add(row.path)
                yield row, schema.version


def _full_name(schema: Schema) -> str:
    return full_name(schema.source["name"], schema.source.get("namespace", ""))


def _uses(schema: Schema) -> tuple[str, ...]:
    return tuple(dict.fromkeys(reference["subject"] for reference in schema.source.get("references", ())))


def _most_guarded(schema: Schema) -> str:
    classes = [_class_of(row) for row in _rows(schema, {})]
    if not classes:
        # No field is declared: either there is none, or whatever is sent is of no class.
        return "" if schema.source.get("unknown") == "open" else "none"
    return min(classes, key=PII_CLASSES.index)


def _class_of(row: FieldRow) -> str:
    return row.pii if row.pii in PII_CLASSES else ""


def _warehouse(versions: tuple[Schema, ...], fields: tuple[FieldRow, ...]) -> Warehouse | None:
    try:
        return warehouse(versions, fields)
    except ConfigError:  # a draft may hold a type that JSON has no form for; `sluice schemas check` says so
        return None


def _envelope(registry: Registry) -> tuple[FieldRow, ...]:
    if not registry.versions("tracked_event"):
        return ()
    return _rows(registry.latest("tracked_event"), {})
