"""An Avro record as a tree of types: names resolved, logical types known, bounds at the type they bound.

Everything that is generated from a schema is generated from this tree, so that validator, encoder and explanation
cannot read a schema in different ways. `parse` makes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

INT = (-(2**31), 2**31 - 1)
LONG = (-(2**63), 2**63 - 1)
FLOAT_MAX = 3.4028234663852886e38  # what 4 bytes hold; beyond it the encoder would fail


@dataclass(eq=False, slots=True)
class Null:
    pass


@dataclass(eq=False, slots=True)
class Boolean:
    pass


@dataclass(eq=False, slots=True)
class Integer:
    low: int
    high: int
    is_long: bool


@dataclass(eq=False, slots=True)
class Float:
    """`low` and `high` are None where nothing but the type bounds it."""

    low: float | None
    high: float | None
    is_double: bool


@dataclass(eq=False, slots=True)
class Text:
    min_length: int | None = None
    max_length: int | None = None
    allowed: tuple[str, ...] | None = None


@dataclass(eq=False, slots=True)
class Uuid:
    """Text, or 16 bytes where `is_fixed`."""

    is_fixed: bool


@dataclass(eq=False, slots=True)
class Json:
    pass


@dataclass(eq=False, slots=True)
class Enum:
    name: str
    symbols: tuple[str, ...]
    default: str | None


@dataclass(eq=False, slots=True)
class Bytes:
    min_length: int | None
    max_length: int | None


@dataclass(eq=False, slots=True)
class Fixed:
    name: str
    size: int


@dataclass(eq=False, slots=True)
class Timestamp:
    """`per_second` is 1,000 or 1,000,000; `low` and `high` are in that unit."""

    per_second: int
    low: int
    high: int


@dataclass(eq=False, slots=True)
class Date:
    """`low` and `high` are days since 1970-01-01."""

    low: int
    high: int


@dataclass(eq=False, slots=True)
class Decimal:
    """`size` is None for decimals in `bytes`."""

    precision: int
    scale: int
    size: int | None
    low: float | None
    high: float | None


@dataclass(eq=False, slots=True)
class Array:
    items: Type
    max_items: int | None


@dataclass(eq=False, slots=True)
class Map:
    values: Type
    max_items: int | None


@dataclass(eq=False, slots=True)
class Field:
    """`attribute` is the name as generated code writes it; it differs where Python has a use for `name`."""

    name: str
    attribute: str
    type: Type
    has_default: bool
    default: Any
    pii: str | None
    aliases: tuple[str, ...]


@dataclass(eq=False, slots=True)
class Record:
    """`name` is the full name. `fields` of a record that contains itself lead back to this very object."""

    name: str
    unknown: str
    fields: list[Field] = field(default_factory=list)

    @property
    def short_name(self) -> str:
        return self.name.rpartition(".")[2]


@dataclass(eq=False, slots=True)
class Union:
    branches: list[Type]


Type = (
    Null
    | Boolean
    | Integer
    | Float
    | Text
    | Uuid
    | Json
    | Enum
    | Bytes
    | Fixed
    | Timestamp
    | Date
    | Decimal
    | Array
    | Map
    | Record
    | Union
)

_STRING, _NUMBER = frozenset({"string"}), frozenset({"number"})
_KINDS: dict[type[Any], frozenset[str]] = {
    Null: frozenset({"null"}),
    Boolean: frozenset({"boolean"}),
    Integer: _NUMBER,
    Float: _NUMBER,
    Text: _STRING,
    Uuid: _STRING,
    Enum: _STRING,
    Bytes: _STRING,
    Fixed: _STRING,
    Timestamp: _STRING | _NUMBER,
    Date: _STRING | _NUMBER,
    Decimal: _STRING | _NUMBER,
    Array: frozenset({"array"}),
    Map: frozenset({"object"}),
    Record: frozenset({"object"}),
    Json: frozenset({"null", "boolean", "number", "string", "array", "object"}),
}


def json_kinds(type_: Type) -> frozenset[str]:
    """The kinds of JSON value that `type_` may be."""
    if isinstance(type_, Union):
        return frozenset().union(*map(json_kinds, type_.branches))
    return _KINDS[type(type_)]


def parts(type_: Type) -> tuple[Type, ...]:
    """The types right below `type_`."""
    match type_:
        case Array(items=inner) | Map(values=inner):
            return (inner,)
        case Union(branches=branches):
            return tuple(branches)
        case Record(fields=fields):
            return tuple(each.type for each in fields)
    return ()


def walk(root: Type) -> Iterator[Type]:
    """`root` and every type below it, once each."""
    seen: set[int] = set()
    todo = [root]
    while todo:
        type_ = todo.pop()
        if id(type_) not in seen:
            seen.add(id(type_))
            yield type_
            todo.extend(reversed(parts(type_)))


def depth(root: Type) -> int | None:
    """How deep arrays and objects of `root` nest; None if there is no end to it."""
    open_: set[int] = set()
    known: dict[int, int | None] = {}

    def measure(type_: Type) -> int | None:
        if id(type_) in open_:
            return None
        if id(type_) not in known:
            open_.add(id(type_))
            below = [measure(part) for part in parts(type_)]
            open_.discard(id(type_))
            own = isinstance(type_, Array | Map | Record)
            known[id(type_)] = None if None in below else max((d for d in below if d is not None), default=0) + own
        return known[id(type_)]

    return measure(root)
