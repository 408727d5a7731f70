"""Types in words, for people who do not read Avro: `optional text`, `list of record Item`."""

from __future__ import annotations

from schemas.compatibility.types import Array, Enum, Fixed, Map, Primitive, Type, Union, branches, is_null

_PRIMITIVES = {
    "null": "nothing",
    "boolean": "true or false",
    "int": "integer",
    "long": "long integer",
    "float": "number",
    "double": "double-precision number",
    "bytes": "bytes",
    "string": "text",
}
_LOGICAL = {
    "date": "date",
    "timestamp-millis": "time in milliseconds",
    "timestamp-micros": "time in microseconds",
    "uuid": "UUID",
    "json": "any JSON",
}


def describe(type_: Type) -> str:  # noqa: PLR0911 (one return a kind of type)
    logical = type_.source.get("logicalType")
    if logical == "decimal":
        return f"decimal({type_.source.get('precision')},{type_.source.get('scale', 0)})"
    match type_:
        case Union():
            return _union(type_)
        case Array():
            return f"list of {describe(type_.items)}"
        case Map():
            return f"map of {describe(type_.values)}"
        case Enum():
            return f"one of {', '.join(type_.symbols)}"
        case Primitive() | Fixed() if logical in _LOGICAL:
            return _LOGICAL[logical]
    plain = _PRIMITIVES[type_.name] if isinstance(type_, Primitive) else str(type_)
    return f"{plain} ({logical})" if logical and isinstance(type_, Primitive) else plain


def _union(union: Union) -> str:
    present = " or ".join(describe(branch) for branch in branches(union) if not is_null(branch))
    return f"optional {present}" if any(map(is_null, union.branches)) else present
