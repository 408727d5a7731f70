"""Avro types → typed ClickHouse columns read out of JSON text.

A nested record becomes one column a field, named by its path: a version that adds a field to it then adds a column and
changes none. For the same reason an array of records becomes one array a field, all of equal length.

No expression made here can fail on a row: what is not of its type comes out as NULL or as the type's zero. A query over
a year must not break on one row of a version that nobody remembers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from schemas.codegen.defaults import json_default
from schemas.codegen.model import (
    Array,
    Boolean,
    Bytes,
    Date,
    Decimal,
    Enum,
    Field,
    Fixed,
    Float,
    Integer,
    Json,
    Map,
    Null,
    Record,
    Text,
    Timestamp,
    Type,
    Union,
    Uuid,
    walk,
)

# Names that expressions give to the elements of arrays and maps, from the outside in.
ELEMENT = "_item"
# What can be read as it is; the rest takes more than one function.
_PLAIN = {Boolean: "Bool", Float: "Float64", Text: "String", Bytes: "String", Fixed: "String", Uuid: "UUID"}
_MAX_DECIMAL_DIGITS = 76
_ESCAPES = str.maketrans(
    {"\\": "\\\\", "'": "\\'", "`": "\\`", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0", "\b": "\\b", "\f": "\\f"}
)

Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Column:
    """`path` are the fields that lead to it. `expression` is of the ClickHouse type `type`.

    `places` are the same fields, each as (full name of its record, name). `opaque` columns are JSON with
    objects in it, whose fields nothing here describes.
    """

    path: tuple[str, ...]
    type: str
    expression: str
    places: tuple[Place, ...] = ()
    opaque: bool = False
    plain: bool = False  # one JSONExtract reads it, also as an element
    has_default: bool = False


def quoted(text: str) -> str:
    """A string literal."""
    return f"'{text.translate(_ESCAPES)}'"


def identifier(name: str) -> str:
    return f"`{name.translate(_ESCAPES)}`"


def columns(record: Record, *, source: str) -> list[Column]:
    """The columns of `record`, in the order of its fields. `source` is an expression: the record's JSON text."""
    return _Reader().columns(record, _Spot(source))


@dataclass(frozen=True, slots=True)
class _Spot:
    """A value in JSON: at `keys` of `source`. `optional` says that null may stand there or above."""

    source: str
    keys: tuple[str, ...] = ()
    optional: bool = False
    depth: int = 0

    def __str__(self) -> str:
        return ", ".join([self.source, *map(quoted, self.keys)])

    def extract(self, type_: str) -> str:
        return f"JSONExtract({self}, {quoted(type_)})"

    def below(self, key: str) -> _Spot:
        return replace(self, keys=(*self.keys, key))

    def element(self, name: str) -> _Spot:
        return _Spot(name, depth=self.depth + 1)


class _Reader:
    def __init__(self) -> None:
        self._open: list[Record] = []

    def columns(self, type_: Type, at: _Spot) -> list[Column]:  # noqa: PLR0911 (one return a type)
        match type_:
            case Record():
                return [_json(type_, at)] if type_ in self._open else self._record(type_, at)
            case Array(items=items):
                return self._array(items, at)
            case Map(values=values):
                return self._map(values, at)
            case Union(branches=branches):
                return self._union(branches, at)
            case Json():
                return [_json(type_, at)]
            case Null():
                return []
        return [_scalar(type_, at)]

    def _record(self, record: Record, at: _Spot) -> list[Column]:
        self._open.append(record)
        found = [column for field in record.fields for column in self._field(record, field, at)]
        self._open.pop()
        return found

    def _field(self, record: Record, field: Field, at: _Spot) -> list[Column]:
        spot, place = at.below(field.name), (record.name, field.name)
        found = self.columns(field.type, spot)
        if field.has_default:
            default = json_default(field.type, field.default, field.name)
            if not _is_zero(field.type, default, optional=at.optional):
                missing = self.columns(field.type, replace(at, source=quoted(json.dumps(default)), keys=()))
                found = [
                    replace(
                        column,
                        expression=f"if(JSONHas({spot}), {column.expression}, {other.expression})",
                        plain=False,
                        has_default=True,
                    )
                    for column, other in zip(found, missing, strict=True)
                ]
        return [replace(c, path=(field.name, *c.path), places=(place, *c.places)) for c in found]

    def _array(self, items: Type, at: _Spot) -> list[Column]:
        name = f"{ELEMENT}{at.depth}"
        return [
            _container(column, f"Array({column.type})", at)
            or replace(
                column,
                type=f"Array({column.type})",
                expression=f"arrayMap({name} -> {column.expression}, JSONExtractArrayRaw({at}))",
            )
            for column in self.columns(items, at.element(name))
        ]

    def _map(self, values: Type, at: _Spot) -> list[Column]:
        name = f"{ELEMENT}{at.depth}"
        return [
            _container(column, f"Map(String, {column.type})", at)
            or replace(
                column,
                type=f"Map(String, {column.type})",
                expression=f"CAST(arrayMap({name} -> ({name}.1, {column.expression}), "
                f"JSONExtractKeysAndValuesRaw({at})), {quoted(f'Map(String, {column.type})')})",
            )
            for column in self.columns(values, at.element(f"{name}.2"))
        ]

    def _union(self, branches: list[Type], at: _Spot) -> list[Column]:
        values = [branch for branch in branches if not isinstance(branch, Null)]
        spot = replace(at, optional=at.optional or len(values) < len(branches))
        if len(values) > 1:
            return [_json(Union([*values]), spot)]
        found = [column for branch in values for column in self.columns(branch, spot)]
        if not spot.optional or not any(isinstance(branch, Record) for branch in values):
            return found
        # Where the record is null, so are its fields, whatever their defaults.
        return [
            replace(c, expression=f"if(JSONType({at}) = 'Object', {c.expression}, {zero(c.type)})")
            if c.has_default
            else c
            for c in found
        ]


def zero(type_: str) -> str:
    """NULL where the type can be, else its zero."""
    return f"defaultValueOfTypeName({quoted(type_)})"


def _container(column: Column, type_: str, at: _Spot) -> Column | None:
    """The column of a whole array or map, where one function reads it."""
    if not column.plain or column.path:
        return None
    # Not where null may stand: read as one, an array of arrays with a null among them comes out empty.
    return replace(column, type=type_, expression=at.extract(type_), plain=not at.optional)


def _json(type_: Type, at: _Spot) -> Column:
    """Kept as JSON: what has more than one form, or contains itself."""
    raw, opaque = f"JSONExtractRaw({at})", any(isinstance(part, Record | Json) for part in walk(type_))
    if not at.optional:
        return Column((), "String", raw, opaque=opaque)
    return Column((), "Nullable(String)", f"if({raw} IN ('', 'null'), NULL, {raw})", opaque=opaque)


def _scalar(type_: Type, at: _Spot) -> Column:
    match type_:
        case Enum():
            name = "LowCardinality(Nullable(String))" if at.optional else "LowCardinality(String)"
            return Column((), name, at.extract(name), plain=True)
        case Integer(is_long=is_long):
            return _plain("Int64" if is_long else "Int32", at)
        case Decimal(precision=precision) if precision > _MAX_DECIMAL_DIGITS:
            return _plain("String", at)
        case Timestamp() | Date() | Decimal():
            return _computed(type_, at)
    return _plain(_PLAIN[type(type_)], at)


def _plain(name: str, at: _Spot) -> Column:
    name = f"Nullable({name})" if at.optional else name
    return Column((), name, at.extract(name), plain=True)


def _computed(type_: Timestamp | Date | Decimal, at: _Spot) -> Column:
    text, whole = at.extract("Nullable(String)"), at.extract("Nullable(Int64)")
    match type_:
        case Timestamp(per_second=per_second):
            # A number would be taken for seconds, so it is never left to the engine to tell the unit.
            digits, unit = (3, "Milli") if per_second == 1_000 else (6, "Micro")
            name, nothing = f"DateTime64({digits}, 'UTC')", f"fromUnixTimestamp64{unit}(0, 'UTC')"
            value = (
                f"ifNull(fromUnixTimestamp64{unit}({whole}, 'UTC'), "
                f"parseDateTime64BestEffortOrNull(upper({text}), {digits}, 'UTC'))"
            )
        case Date():
            name, nothing = "Date32", "toDate32('1970-01-01')"
            value = f"ifNull(addDays({nothing}, {at.extract('Nullable(Int32)')}), toDate32OrNull({text}))"
        case Decimal(precision=precision, scale=scale):
            # By way of the text: made from the number itself, it fails on one that has too many digits.
            name, nothing = f"Decimal({precision}, {scale})", "0"
            value = f"accurateCastOrNull({text}, {quoted(name)})"
    if at.optional:
        return Column((), f"Nullable({name})", value)
    return Column((), name, f"ifNull({value}, {nothing})")


def _is_zero(type_: Type, value: Any, *, optional: bool) -> bool:  # noqa: PLR0911 (one return a type)
    """Whether a missing field reads as `value` anyway."""
    match type_:
        case Union(branches=branches):
            values = [branch for branch in branches if not isinstance(branch, Null)]
            if value is None or len(values) != 1:
                return value is None and len(values) == 1
            return _is_zero(values[0], value, optional=optional or len(values) < len(branches))
        case Array() | Map():
            return not value
        case Record(fields=fields):
            return all(_is_default(field, value, optional=optional) for field in fields)
        case Enum() | Json() | Uuid():
            return False
        case Decimal():
            return not optional and float(value) == 0
    return not optional and not value


def _is_default(field: Field, value: dict[str, Any], *, optional: bool) -> bool:
    if field.has_default:
        default = json_default(field.type, field.default, field.name)
        return bool(value.get(field.name, default) == default)
    return field.name in value and _is_zero(field.type, value[field.name], optional=optional)
