"""Defaults of Avro fields, in the JSON form that events have.

They differ where bytes are involved: a schema writes them as text of one code point a byte, an event as base64.
"""

from __future__ import annotations

import base64
import uuid
from typing import Any

import msgspec

from core.errors import ConfigError
from schemas.codegen.model import (
    Array,
    Bytes,
    Decimal,
    Fixed,
    Json,
    Map,
    Record,
    Type,
    Union,
    Uuid,
    json_kinds,
)

_KIND_OF = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


def json_default(type_: Type, default: Any, path: str) -> Any:  # noqa: PLR0911 (one return a type)
    """What an event would hold to say the same as `default` does in the schema.

    Raises:
        ConfigError: the default is not of the type.
    """
    try:
        match type_:
            case Union():
                return json_default(branch_of(type_, default), default, path)
            case Json():
                return msgspec.Raw(default.encode())
            case Bytes() | Fixed():
                return base64.b64encode(default.encode("latin-1")).decode()
            case Uuid(is_fixed=True):
                return str(uuid.UUID(bytes=default.encode("latin-1")))
            case Decimal(scale=scale):
                return in_digits(int.from_bytes(default.encode("latin-1"), "big", signed=True), scale)
            case Array(items=items):
                return [json_default(items, each, f"{path}[]") for each in default]
            case Map(values=values):
                return {key: json_default(values, each, f"{path}[]") for key, each in default.items()}
            case Record(fields=fields):
                return {
                    each.name: json_default(each.type, default[each.name], f"{path}.{each.name}")
                    for each in fields
                    if each.name in default
                }
    except (AttributeError, TypeError, ValueError, LookupError) as error:
        raise ConfigError(f"{path}: the default {default!r} is not of the field's type") from error
    return default


def branch_of(union: Union, value: Any) -> Type:
    """The branch that a JSON value is of. Raises LookupError."""
    kind = _KIND_OF[type(value)]
    for branch in union.branches:
        if kind in json_kinds(branch):
            return branch
    raise LookupError(kind)


def in_digits(unscaled: int, scale: int) -> str:
    sign, digits = "-" if unscaled < 0 else "", str(abs(unscaled)).rjust(scale + 1, "0")
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else sign + digits
