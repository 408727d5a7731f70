"""A schema's JSON as a graph of types: names resolved, recursive types closed to loops.

Types compare by identity, because a recursive one has no end. `source` is the JSON object a type was written as (empty
for a bare name), for the attributes that Avro does not define.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from core.errors import InputError
from schemas.references import full_name

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})


class SchemaError(InputError):
    """The JSON is no Avro schema."""

    code = "bad_schema"


@dataclass(frozen=True, slots=True, eq=False)
class Primitive:
    name: str
    source: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return _with_logical(self.name, self.source)


@dataclass(frozen=True, slots=True, eq=False)
class Array:
    items: Type
    source: dict[str, Any]

    def __str__(self) -> str:
        return f"array<{self.items}>"


@dataclass(frozen=True, slots=True, eq=False)
class Map:
    values: Type
    source: dict[str, Any]

    def __str__(self) -> str:
        return f"map<{self.values}>"


@dataclass(frozen=True, slots=True, eq=False)
class Union:
    branches: tuple[Type, ...]
    source: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return " | ".join(map(str, self.branches)) or "empty union"


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """`aliases` are full names too."""

    full_name: str
    aliases: frozenset[str]
    source: dict[str, Any]

    @property
    def name(self) -> str:
        return self.full_name.rpartition(".")[2]

    @property
    def namespace(self) -> str:
        return self.full_name.rpartition(".")[0]


@dataclass(frozen=True, slots=True, eq=False)
class Fixed(Named):
    size: int

    def __str__(self) -> str:
        return _with_logical(f"fixed {self.name}({self.size})", self.source)


@dataclass(frozen=True, slots=True, eq=False)
class Enum(Named):
    symbols: tuple[str, ...]

    def __str__(self) -> str:
        return f"enum {self.name}"

    @property
    def has_default(self) -> bool:
        return "default" in self.source


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    name: str
    aliases: tuple[str, ...]
    type: Type
    source: dict[str, Any]

    @property
    def has_default(self) -> bool:
        return "default" in self.source


@dataclass(frozen=True, slots=True, eq=False)
class Record(Named):
    # Filled after the record is made: a recursive one is named by its own fields.
    fields: list[Field] = field(default_factory=list)

    def __str__(self) -> str:
        return f"record {self.name}"


Type: TypeAlias = Primitive | Array | Map | Union | Fixed | Enum | Record


def parse(schema: Any) -> Type:
    """The type that `schema` (JSON, self-contained) describes. Its `str` is its short form: `null | string`,
    `array<enum Currency>`.

    Raises:
        SchemaError: a name that is not defined before its use, or JSON of another form.
    """
    return _Parser().type(schema, "")


def parse_record(schema: dict[str, Any]) -> Record:
    """`parse` for what is a record: every event, context and record of ours.

    Raises:
        SchemaError: as `parse`, or the schema is not a record.
    """
    found = parse(schema)
    if not isinstance(found, Record):
        raise SchemaError(f"expected a record, got {found}")
    return found


def branches(type_: Type) -> tuple[Type, ...]:
    """A union's branches; of any other type, itself."""
    return type_.branches if isinstance(type_, Union) else (type_,)


def is_null(type_: Type) -> bool:
    return isinstance(type_, Primitive) and type_.name == "null"


def _with_logical(name: str, source: dict[str, Any]) -> str:
    logical = source.get("logicalType")
    if logical is None:
        return name
    if logical == "decimal":
        return f"{name} (decimal {source.get('precision')},{source.get('scale', 0)})"
    return f"{name} ({logical})"


class _Parser:
    def __init__(self) -> None:
        self._named: dict[str, Fixed | Enum | Record] = {}
        self._complex: dict[str, Callable[[dict[str, Any], str], Type]] = {
            "record": self._record,
            "error": self._record,
            "enum": self._enum,
            "fixed": self._fixed,
            "array": lambda schema, namespace: Array(self.type(_need(schema, "items"), namespace), schema),
            "map": lambda schema, namespace: Map(self.type(_need(schema, "values"), namespace), schema),
        }

    def type(self, schema: Any, namespace: str) -> Type:
        if isinstance(schema, str):
            return self._reference(schema, namespace)
        if isinstance(schema, list):
            return Union(tuple(self.type(branch, namespace) for branch in schema))
        kind = _need(schema, "type")
        if not isinstance(kind, str):
            return self.type(kind, namespace)
        if kind in self._complex:
            return self._complex[kind](schema, namespace)
        return Primitive(kind, schema) if kind in PRIMITIVES else self._reference(kind, namespace)

    def _enum(self, schema: dict[str, Any], namespace: str) -> Type:
        return self._define(Enum(*_names(schema, namespace), schema, tuple(_need(schema, "symbols"))))

    def _fixed(self, schema: dict[str, Any], namespace: str) -> Type:
        return self._define(Fixed(*_names(schema, namespace), schema, _need(schema, "size")))

    def _record(self, schema: dict[str, Any], namespace: str) -> Type:
        record = Record(*_names(schema, namespace), schema)
        self._define(record)
        for field_ in _need(schema, "fields"):
            type_ = self.type(_need(field_, "type"), record.namespace)
            record.fields.append(Field(_need(field_, "name"), tuple(field_.get("aliases", ())), type_, field_))
        return record

    def _define(self, type_: Fixed | Enum | Record) -> Type:
        if type_.full_name in self._named:
            raise SchemaError(f"type {type_.full_name} is defined twice")
        self._named[type_.full_name] = type_
        return type_

    def _reference(self, name: str, namespace: str) -> Type:
        if name in PRIMITIVES:
            return Primitive(name)
        found = self._named.get(full_name(name, namespace)) or self._named.get(name)
        if found is None:
            raise SchemaError(f"type {name} is not defined before its use")
        return found


def _need(schema: Any, key: str) -> Any:
    if not isinstance(schema, dict) or key not in schema:
        raise SchemaError(f"no `{key}` in {schema!r}")
    return schema[key]


def _names(schema: dict[str, Any], namespace: str) -> tuple[str, frozenset[str]]:
    """Full name and full aliases (Avro 1.12, "Names"). An alias is relative to the namespace of the name it is for."""
    name = str(_need(schema, "name"))
    full = full_name(name, str(schema.get("namespace", namespace)))
    return full, frozenset(full_name(alias, full.rpartition(".")[0]) for alias in schema.get("aliases", ()))
