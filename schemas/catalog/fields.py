"""The fields of a contract as rows of a table, in the words of those who send or query them.

Types are told in their JSON form: what a client writes, not what Avro stores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.compatibility.pairing import bounds_of
from schemas.compatibility.types import (
    Array,
    Enum,
    Field,
    Fixed,
    Map,
    Primitive,
    Record,
    Type,
    branches,
    is_null,
)

_WORDS = {
    "boolean": "true or false",
    "int": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "bytes": "bytes (base64)",
    "string": "text",
    "null": "null",
}
_LOGICAL = {
    "date": "date (YYYY-MM-DD)",
    "timestamp-millis": "time (RFC 3339)",
    "timestamp-micros": "time (RFC 3339)",
    "uuid": "UUID",
    "json": "any JSON",
}
_PLURALS = {"object": "objects", "text": "texts", "integer": "integers", "number": "numbers", "list": "lists"}
# What bounds of dates and times count.
_SINCE_1970 = {
    "date": "days since 1970",
    "timestamp-millis": "milliseconds since 1970",
    "timestamp-micros": "microseconds since 1970",
}


@dataclass(frozen=True, slots=True)
class FieldRow:
    """`path` is the field's place with what leads to it (`items[].price`), `depth` how far it is nested.

    `pii` is empty where nobody has classified the field. `contexts` are subjects whose page describes what is below it.
    `default` is JSON, and empty where the field is required or null stands for its absence.
    """

    path: str
    depth: int
    type: str
    required: bool
    default: Any
    pii: str
    unit: str
    bounds: tuple[str, ...]
    allowed: tuple[str, ...]
    doc: str
    examples: tuple[Any, ...]
    contexts: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def parent(self) -> str:
        """What stands before the name, with its dot."""
        return self.path.removesuffix(self.name)


def rows(record: Record, contexts: Mapping[str, str]) -> list[FieldRow]:
    """All fields, each followed by those nested in it. `contexts` are subjects by the full name of their record: their
    fields are told on a page of their own.
    """
    return list(_Reader(contexts).fields(record, "", 0))


class _Reader:
    def __init__(self, contexts: Mapping[str, str]) -> None:
        self._contexts = contexts
        self._open: list[Record] = []

    def fields(self, record: Record, prefix: str, depth: int) -> Iterator[FieldRow]:
        self._open.append(record)
        for field in record.fields:
            yield self._row(field, prefix, depth)
            for below, step in _records_in(field.type):
                if below not in self._open and below.full_name not in self._contexts:
                    yield from self.fields(below, f"{prefix}{field.name}{step}.", depth + 1)
        self._open.pop()

    def _row(self, field: Field, prefix: str, depth: int) -> FieldRow:
        about = field.source
        found = [self._contexts[r.full_name] for r, _ in _records_in(field.type) if r.full_name in self._contexts]
        return FieldRow(
            path=f"{prefix}{field.name}",
            depth=depth,
            type=self._words(field.type),
            required=not field.has_default,
            default=about.get("default"),
            pii=str(about.get("pii") or ""),
            unit=str(about.get("unit") or ""),
            bounds=tuple(dict.fromkeys(_limits(field.type, bounds_of(about)))),
            allowed=tuple(dict.fromkeys(_allowed(field.type, about))),
            doc=str(about.get("doc") or ""),
            examples=tuple(about["examples"]) if isinstance(about.get("examples"), list) else (),
            contexts=tuple(dict.fromkeys(found)),
        )

    def _words(self, type_: Type) -> str:  # noqa: PLR0911 (one return a kind of type)
        logical = type_.source.get("logicalType")
        match type_:
            case Array():
                return f"list of {_plural(self._words(type_.items))}"
            case Map():
                return f"object of {_plural(self._words(type_.values))} by name"
            case Record():
                return self._record(type_)
            case Primitive() | Fixed() if logical == "decimal":
                return "decimal"
            case Primitive() | Fixed() if logical in _LOGICAL:
                return _LOGICAL[logical]
            case Enum():
                return "text"
            case Fixed():
                return f"{type_.size} bytes (base64)"
            case Primitive():
                return _WORDS[type_.name]
        return " or ".join(self._words(b) for b in branches(type_) if not is_null(b)) or "null"

    def _record(self, record: Record) -> str:
        if record in self._open:
            return f"object ({record.name}, as above)"
        return "object"


def _plural(words: str) -> str:
    first, space, rest = words.partition(" ")
    return f"{_PLURALS.get(first, first)}{space}{rest}"


def _records_in(type_: Type, step: str = "") -> Iterator[tuple[Record, str]]:
    """Records right below a field, with what stands between: `[]` a list's items, `{}` an object's values."""
    for branch in branches(type_):
        match branch:
            case Record():
                yield branch, step
            case Array():
                yield from _records_in(branch.items, f"{step}[]")
            case Map():
                yield from _records_in(branch.values, f"{step}{{}}")


def _limits(type_: Type, given: dict[str, Any], each: str = "") -> Iterator[str]:
    """`given` are the bounds of the field around the type; those at the type itself go before them."""
    for branch in branches(type_):
        if is_null(branch):
            continue
        bounds = given | bounds_of(branch.source)
        match branch:
            case Array():
                yield from _span(None, bounds.get("maxItems"), "entries", each)
                yield from _limits(branch.items, {}, "each ")
            case Map():
                yield from _span(None, bounds.get("maxItems"), "entries", each)
                yield from _limits(branch.values, {}, "each ")
            case Primitive(name="string"):
                yield from _span(bounds.get("minLength"), bounds.get("maxLength"), "characters", each)
            case Primitive(name="bytes") | Fixed() if branch.source.get("logicalType") != "decimal":
                yield from _span(bounds.get("minLength"), bounds.get("maxLength"), "bytes", each)
            case Primitive() | Fixed():
                if branch.source.get("logicalType") == "decimal":
                    digits, scale = branch.source.get("precision"), branch.source.get("scale", 0)
                    yield f"{each}up to {digits} digits, {scale} of them after the point"
                unit = _SINCE_1970.get(str(branch.source.get("logicalType")), "")
                yield from _span(bounds.get("minimum"), bounds.get("maximum"), unit, each)


def _span(low: Any, high: Any, unit: str, each: str) -> Iterator[str]:
    if low is None and high is None:
        return
    if low == high:
        words = f"exactly {_number(low)}"
    elif low is None:
        words = f"at most {_number(high)}"
    elif high is None:
        words = f"at least {_number(low)}"
    else:
        words = f"{_number(low)} to {_number(high)}"
    yield f"{each}{words} {unit}".strip()


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def _allowed(type_: Type, about: dict[str, Any]) -> Iterator[str]:
    given = about.get("allowed")
    if isinstance(given, list):
        yield from map(str, given)
    for branch in branches(type_):
        match branch:
            case Enum():
                yield from branch.symbols
            case Array():
                yield from _allowed(branch.items, branch.items.source)
            case Map():
                yield from _allowed(branch.values, branch.values.source)
            case Primitive() if branch.source is not about:
                yield from map(str, branch.source.get("allowed") or ())
