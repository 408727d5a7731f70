"""Avro record → `msgspec.Struct` type, so that decoding JSON *is* validating it (Avro 1.12, "Complex Types").

Bounds come from attributes beside a field, which plain Avro tools ignore: `minimum`, `maximum`, `minLength`,
`maxLength`. A record says by `unknown` whether fields it does not declare are kept or rejected.
"""

from __future__ import annotations

from types import NoneType
from typing import Annotated, Any, Literal

import msgspec

from core.errors import ConfigError

_INT = (-(2**31), 2**31 - 1)
_LONG = (-(2**63), 2**63 - 1)


def struct_type(schema: dict[str, Any]) -> type[msgspec.Struct]:
    """The Struct type of an Avro record.

    Raises:
        ConfigError: the schema uses a type that has no JSON form here.
    """
    fields: list[Any] = []
    for field in schema["fields"]:
        type_ = _type(field["type"], field)
        fields.append((field["name"], type_, _default(field, type_)) if "default" in field else (field["name"], type_))
    return msgspec.defstruct(
        schema["name"],
        fields,
        kw_only=True,
        frozen=True,
        gc=False,
        forbid_unknown_fields=schema.get("unknown") == "reject",
    )


def _default(field: dict[str, Any], type_: Any) -> Any:
    value = field["default"]
    if isinstance(value, list | dict):  # of an array, a map or a record: each event needs its own
        return msgspec.field(default_factory=lambda: msgspec.convert(value, type_))
    return value


def _type(avro: Any, bounds: dict[str, Any]) -> Any:  # noqa: PLR0911 (one return a type)
    if isinstance(avro, list):
        return _union(avro, bounds)
    if isinstance(avro, dict):
        return _complex(avro, bounds)
    match avro:
        case "null":
            return NoneType
        case "boolean":
            return bool
        case "int":
            return _integer(bounds, *_INT)
        case "long":
            return _integer(bounds, *_LONG)
        case "float" | "double":
            limits = msgspec.Meta(ge=bounds.get("minimum"), le=bounds.get("maximum"))
            return Annotated[float, limits] if limits.ge is not None or limits.le is not None else float
        case "string":
            meta = msgspec.Meta(min_length=bounds.get("minLength"), max_length=bounds.get("maxLength"))
            return Annotated[str, meta] if meta.min_length is not None or meta.max_length is not None else str
    raise ConfigError(f"Avro type {avro!r} cannot be validated from JSON")


def _complex(avro: dict[str, Any], bounds: dict[str, Any]) -> Any:
    match avro["type"]:
        case "record":
            return struct_type(avro)
        case "enum":
            return Literal[tuple(avro["symbols"])]
        case "array":
            return list[_type(avro["items"], {})]  # type: ignore[misc] # built at run time
        case "map":
            return dict[str, _type(avro["values"], {})]  # type: ignore[misc] # built at run time
        case "string" if avro.get("logicalType") == "json":
            return msgspec.Raw
    return _type(avro["type"], bounds | avro)


def _union(branches: list[Any], bounds: dict[str, Any]) -> Any:
    out: Any = None
    for branch in branches:
        type_ = _type(branch, bounds)
        out = type_ if out is None else out | type_
    return out


def _integer(bounds: dict[str, Any], low: int, high: int) -> Any:
    return Annotated[
        int, msgspec.Meta(ge=max(low, bounds.get("minimum", low)), le=min(high, bounds.get("maximum", high)))
    ]
