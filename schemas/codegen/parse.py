"""A self-contained Avro schema → the tree of `model`. What JSON cannot express is refused, with the field's path."""

from __future__ import annotations

import keyword
from typing import Any

from core.errors import ConfigError
from schemas.codegen.model import (
    FLOAT_MAX,
    INT,
    LONG,
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
    json_kinds,
)
from schemas.references import full_name

# Logical types that Avro knows and JSON has no agreed form for. Names that Avro does not know are ignored, as it asks.
_NO_JSON_FORM = frozenset(
    {
        "time-millis",
        "time-micros",
        "timestamp-nanos",
        "local-timestamp-millis",
        "local-timestamp-micros",
        "local-timestamp-nanos",
        "duration",
    }
)


def parse(schema: dict[str, Any]) -> Record:
    """The tree of a self-contained record schema.

    Raises:
        ConfigError: not a record, or a type that JSON has no form for; names the path of the field.
    """
    type_ = _Parser().type(schema, {}, "", "$")
    if not isinstance(type_, Record):
        raise ConfigError("$: not an Avro record")
    return type_


class _Parser:
    def __init__(self) -> None:
        self._named: dict[str, Record | Enum | Fixed | Uuid | Decimal] = {}

    def type(self, avro: Any, bounds: dict[str, Any], namespace: str, path: str) -> Type:  # noqa: PLR0911 (one return a type)
        if isinstance(avro, list):
            return self._union(avro, bounds, namespace, path)
        if not isinstance(avro, dict):
            return self._simple(avro, bounds, namespace, path)
        kind = avro.get("type")
        if isinstance(kind, list | dict):  # {"type": {"type": …}} says no more than the inner one
            return self.type(kind, bounds, namespace, path)
        logical = avro.get("logicalType")
        if logical in _NO_JSON_FORM:
            raise ConfigError(f"{path}: logical type {logical} cannot be validated from JSON")
        match kind:
            case "record":
                return self._record(avro, namespace, path)
            case "enum":
                return self._enum(avro, namespace, path)
            case "fixed":
                return self._fixed(avro, bounds, namespace, path)
            case "array":
                most = _whole(avro, bounds, "maxItems", path)
                return Array(self.type(_given(avro, "items", path), {}, namespace, f"{path}[]"), most)
            case "map":
                most = _whole(avro, bounds, "maxItems", path)
                return Map(self.type(_given(avro, "values", path), {}, namespace, f"{path}[]"), most)
        return self._simple(kind, {**bounds, **avro}, namespace, path)

    def _simple(self, kind: Any, about: dict[str, Any], namespace: str, path: str) -> Type:  # noqa: C901, PLR0911, PLR0912 (one return a type)
        logical = about.get("logicalType")
        match kind, logical:
            case "null", _:
                return Null()
            case "boolean", _:
                return Boolean()
            case "int", "date":
                return Date(*_range(about, *INT, path))
            case "long", "timestamp-millis":
                return Timestamp(1_000, *_range(about, *LONG, path))
            case "long", "timestamp-micros":
                return Timestamp(1_000_000, *_range(about, *LONG, path))
            case (("int" | "long"), _):
                return Integer(*_range(about, *(INT if kind == "int" else LONG), path), is_long=kind == "long")
            case "double", _:
                return Float(_number(about, "minimum", path), _number(about, "maximum", path), is_double=True)
            case "float", _:
                low, high = _number(about, "minimum", path), _number(about, "maximum", path)
                return Float(
                    max(-FLOAT_MAX, -FLOAT_MAX if low is None else low),
                    min(FLOAT_MAX, FLOAT_MAX if high is None else high),
                    is_double=False,
                )
            case "string", "json":
                return Json()
            case "string", "uuid":
                return Uuid(is_fixed=False)
            case "string", _:
                return _text(about, path)
            case "bytes", "decimal":
                return _decimal(about, None, path)
            case "bytes", _:
                return Bytes(_whole(about, {}, "minLength", path), _whole(about, {}, "maxLength", path))
        if isinstance(kind, str) and (named := self._find(kind, namespace)) is not None:
            return named
        raise ConfigError(f"{path}: Avro type {kind!r} cannot be validated from JSON")

    def _find(self, name: str, namespace: str) -> Type | None:
        found = self._named.get(f"{namespace}.{name}") if "." not in name and namespace else None
        return found or self._named.get(name)

    def _union(self, branches: list[Any], bounds: dict[str, Any], namespace: str, path: str) -> Type:
        if not branches or any(isinstance(branch, list) for branch in branches):
            raise ConfigError(f"{path}: a union needs branches that are no unions")
        types = [self.type(branch, bounds, namespace, path) for branch in branches]
        seen: set[str] = set()
        for type_ in types:
            kinds = json_kinds(type_)
            if both := kinds & seen:
                raise ConfigError(
                    f"{path}: JSON cannot tell the branches of this union apart, more than one is a {min(both)}"
                )
            seen |= kinds
        return Union(types)

    def _record(self, avro: dict[str, Any], namespace: str, path: str) -> Record:
        unknown = avro.get("unknown", "keep")
        if unknown not in ("keep", "reject", "open"):
            raise ConfigError(f"{path}: unknown is keep, reject or open, not {unknown!r}")
        name, inner = _full_name(avro, namespace, path)
        record = Record(name, unknown)
        self._define(name, record, path)
        declared = [_given(each, "name", path) for each in _given(avro, "fields", path)]
        taken: set[str] = set(declared)
        for each in avro["fields"]:
            at = f"{path}.{each['name']}"
            if declared.count(each["name"]) > 1:
                raise ConfigError(f"{at}: declared twice")
            type_ = self.type(_given(each, "type", at), _bounds(each), inner, at)
            record.fields.append(
                Field(
                    each["name"],
                    _attribute(each["name"], taken),
                    type_,
                    "default" in each,
                    each.get("default"),
                    each.get("pii"),
                    tuple(each.get("aliases", ())),
                )
            )
        return record

    def _enum(self, avro: dict[str, Any], namespace: str, path: str) -> Enum:
        name, _ = _full_name(avro, namespace, path)
        symbols = tuple(_given(avro, "symbols", path))
        if not symbols or len(set(symbols)) < len(symbols):
            raise ConfigError(f"{path}: an enum has symbols, each once")
        enum = Enum(name, symbols, avro.get("default"))
        if enum.default is not None and enum.default not in symbols:
            raise ConfigError(f"{path}: the enum's default {enum.default!r} is none of its symbols")
        self._define(name, enum, path)
        return enum

    def _fixed(self, avro: dict[str, Any], bounds: dict[str, Any], namespace: str, path: str) -> Type:
        name, _ = _full_name(avro, namespace, path)
        size = _whole(avro, {}, "size", path)
        if size is None:
            raise ConfigError(f"{path}: a fixed has a size")
        fixed: Fixed | Uuid | Decimal = Fixed(name, size)
        match avro.get("logicalType"):
            case "uuid" if size == 16:
                fixed = Uuid(is_fixed=True)
            case "decimal":
                fixed = _decimal({**bounds, **avro}, size, path)
        self._define(name, fixed, path)
        return fixed

    def _define(self, name: str, type_: Record | Enum | Fixed | Uuid | Decimal, path: str) -> None:
        if name in self._named:
            raise ConfigError(f"{path}: {name} is defined twice")
        self._named[name] = type_


_BOUNDS = ("minimum", "maximum", "minLength", "maxLength", "maxItems", "allowed")


def _bounds(about: dict[str, Any]) -> dict[str, Any]:
    return {name: about[name] for name in _BOUNDS if name in about}


def _given(avro: Any, key: str, path: str) -> Any:
    if not isinstance(avro, dict) or key not in avro:
        raise ConfigError(f"{path}: {key!r} is missing")
    return avro[key]


def _full_name(avro: dict[str, Any], namespace: str, path: str) -> tuple[str, str]:
    """The full name of a named type, and the namespace inside it."""
    name = full_name(str(_given(avro, "name", path)), avro.get("namespace", namespace) or "")
    return name, name.rpartition(".")[0]


def _whole(about: dict[str, Any], beside: dict[str, Any], key: str, path: str) -> int | None:
    value = about.get(key, beside.get(key))
    if value is not None and (type(value) is not int or value < 0):
        raise ConfigError(f"{path}: {key} is a whole number, not {value!r}")
    return value


def _number(about: dict[str, Any], key: str, path: str) -> float | None:
    value: float | None = about.get(key)
    if value is not None and type(value) not in (int, float):
        raise ConfigError(f"{path}: {key} is a number, not {value!r}")
    return value


def _range(about: dict[str, Any], low: int, high: int, path: str) -> tuple[int, int]:
    for key in ("minimum", "maximum"):
        if type(about.get(key, 0)) is not int:
            raise ConfigError(f"{path}: {key} of an integer is an integer, not {about[key]!r}")
    low, high = max(low, about.get("minimum", low)), min(high, about.get("maximum", high))
    if low > high:
        raise ConfigError(f"{path}: no value lies between minimum and maximum")
    return low, high


def _text(about: dict[str, Any], path: str) -> Text:
    least, most = _whole(about, {}, "minLength", path), _whole(about, {}, "maxLength", path)
    allowed = about.get("allowed")
    if allowed is None:
        return Text(least, most)
    if not isinstance(allowed, list) or not all(isinstance(each, str) for each in allowed):
        raise ConfigError(f"{path}: allowed is a list of strings")
    fit = [
        each for each in dict.fromkeys(allowed) if (least or 0) <= len(each) <= (len(each) if most is None else most)
    ]
    if not fit:
        raise ConfigError(f"{path}: no value is allowed")
    return Text(None, None, tuple(fit))


def _decimal(about: dict[str, Any], size: int | None, path: str) -> Decimal:
    precision, scale = _whole(about, {}, "precision", path), _whole(about, {}, "scale", path) or 0
    if not precision or scale > precision:
        raise ConfigError(f"{path}: a decimal has a precision above 0, and no scale above it")
    if size is not None and 10**precision > 2 ** (8 * size - 1):
        raise ConfigError(f"{path}: {size} bytes do not hold {precision} digits")
    return Decimal(precision, scale, size, _number(about, "minimum", path), _number(about, "maximum", path))


def _attribute(name: str, taken: set[str]) -> str:
    """`name`, or one like it that is no keyword and none of Python's own names."""
    attribute = name
    if name.startswith("__"):
        attribute = f"f{name}"
    if keyword.iskeyword(attribute):
        attribute = f"{attribute}_"
    while attribute != name and attribute in taken:
        attribute += "_"
    taken.add(attribute)
    return attribute
