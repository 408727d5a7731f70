"""Schemas of every type there is, the JSON that events hold for them, and what fastavro takes for the same."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import io
import itertools
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field as field_
from typing import Any

import fastavro
import msgspec
from hypothesis import strategies as st

from core.errors import ConfigError
from schemas.codegen import model
from schemas.codegen.defaults import in_digits
from schemas.codegen.model import Type
from schemas.codegen.structs import struct_type

# Names that Python, msgspec or the generated code has a use for.
AWKWARD = [
    *("class", "def", "None", "join", "varint", "HEAD", "V", "encode", "event", "value", "a", "a_", "_", "__init__"),
    *("__x", "__struct_fields__", "item1", "made_item1", "pieces1", "LOW", "a_out", "self", "type", "match", "key1"),
]
NAMES = st.sampled_from(AWKWARD) | st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
TEXTS = st.text(max_size=8) | st.text("ab {}\"'\\", max_size=40) | st.text("\0é漢🙂\x7f", max_size=30)
_SYMBOLS = st.lists(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True), min_size=1, max_size=4, unique=True)
_LOGICAL: list[dict[str, Any]] = [
    {"type": "long", "logicalType": "timestamp-millis"},
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "int", "logicalType": "date"},
    {"type": "string", "logicalType": "uuid"},
]
_MAY_BE_BOUNDED = ("int", "long", "double", "string")


@dataclass
class Scope:
    """Names of types that may be referred to; all names are made from one count."""

    known: list[str] = field_(default_factory=list)
    count: Iterator[int] = field_(default_factory=itertools.count)

    def new(self, letter: str) -> str:
        name = f"{letter}{next(self.count)}"
        if letter != "R":
            self.known.append(name)
        return name

    def inner(self) -> Scope:
        return Scope([*self.known], self.count)


@st.composite
def leaves(draw: st.DrawFn, scope: Scope) -> Any:  # noqa: PLR0911 (one return a kind)
    kind = draw(st.sampled_from(["primitive", "bounded", "logical", "decimal", "enum", "fixed", "named"]))
    match kind:
        case "bounded":
            return draw(bounded())
        case "logical":
            return draw(st.sampled_from(_LOGICAL) | timed())
        case "decimal":
            precision = draw(st.integers(1, 20))
            about = {"logicalType": "decimal", "precision": precision, "scale": draw(st.integers(0, precision))}
            if draw(st.booleans()):
                return {"type": "bytes", **about}
            return {"type": "fixed", "name": scope.new("D"), "size": draw(st.integers(9, 12)), **about}
        case "enum":
            return {"type": "enum", "name": scope.new("E"), "symbols": draw(_SYMBOLS)}
        case "fixed":
            about = draw(st.sampled_from([{"size": 16, "logicalType": "uuid"}, {"size": 3}, {"size": 0}]))
            return {"type": "fixed", "name": scope.new("F"), **about}
        case "named" if scope.known:
            return draw(st.sampled_from(scope.known))
    return draw(st.sampled_from(["boolean", "int", "long", "float", "double", "string", "bytes", "null"]))


@st.composite
def bounded(draw: st.DrawFn) -> Any:
    match draw(st.sampled_from(["int", "double", "string", "allowed", "bytes"])):
        case "string":
            low = draw(st.integers(0, 3))
            return {"type": "string", "minLength": low, "maxLength": low + draw(st.integers(0, 4))}
        case "bytes":
            return {"type": "bytes", "maxLength": draw(st.integers(0, 5))}
        case "allowed":
            return {"type": "string", "allowed": draw(st.lists(TEXTS, min_size=1, max_size=3))}
        case kind:
            low = draw(st.integers(-1000, 1000))
            return {"type": kind, "minimum": low, "maximum": low + draw(st.integers(0, 100))}


@st.composite
def timed(draw: st.DrawFn) -> Any:
    low = draw(st.integers(-(10**9), 10**9))
    about = draw(st.sampled_from(_LOGICAL[:3]))
    return {**about, "minimum": low, "maximum": low + 10**6}


@st.composite
def types(draw: st.DrawFn, scope: Scope, level: int = 0, within: tuple[str, ...] = ()) -> Any:
    kind = draw(st.sampled_from(["leaf", "leaf", "leaf", "array", "map", "record", "union", "again"]))
    if level > 2:
        kind = "leaf"
    match kind:
        case "array":
            most = draw(st.sampled_from([{}, {}, {"maxItems": 2}]))
            return {"type": "array", "items": draw(types(scope, level + 1, within)), **most}
        case "map":
            most = draw(st.sampled_from([{}, {}, {"maxItems": 2}]))
            return {"type": "map", "values": draw(types(scope, level + 1, within)), **most}
        case "record":
            return draw(records(scope, level + 1, within))
        case "union":
            # Each branch in a scope of its own: what it defines is gone if JSON cannot tell it from the others.
            branches = [draw(types(scope.inner(), level + 1, within)) for _ in range(draw(st.integers(1, 3)))]
            branches.insert(draw(st.integers(0, len(branches))), "null")
            return distinct(branches)
        case "again" if within:
            return ["null", draw(st.sampled_from(within))]
    return draw(leaves(scope))


@st.composite
def records(draw: st.DrawFn, scope: Scope, level: int = 0, within: tuple[str, ...] = ()) -> Any:
    name = scope.new("R")
    fields = draw(st.lists(NAMES, unique=True, max_size=5 if not level else 3))
    return {
        "type": "record",
        "name": name,
        "unknown": draw(st.sampled_from(["keep", "reject", "open"])),
        "fields": [field(draw(st.just(each)), draw(types(scope, level, (*within, name)))) for each in fields],
    }


def field(name: str, avro: Any, **beside: Any) -> dict[str, Any]:
    if isinstance(avro, list) and avro[0] == "null":
        beside = {"default": None, **beside}
    return {"name": name, "type": avro, **beside}


def schemas() -> st.SearchStrategy[dict[str, Any]]:
    """Record schemas."""
    return st.builds(Scope).flatmap(records)


def distinct(branches: list[Any]) -> list[Any]:
    """The branches that JSON can tell from those before them."""
    out: list[Any] = []
    for branch in branches:
        if isinstance(branch, list) or (isinstance(branch, str) and branch[1:].isdigit()):
            continue  # no union in a union; what a name stands for is not known here
        out.append(branch)
        if _has_array_and_bytes(out):
            out.pop()  # fastavro takes empty bytes for an empty array; test_encoding has an example
            continue
        try:
            struct_type({"type": "record", "name": "Probe", "fields": [{"name": "a", "type": _anonymous(out)}]})
        except ConfigError:
            out.pop()
    return out


def _has_array_and_bytes(branches: list[Any]) -> bool:
    kinds = {branch["type"] if isinstance(branch, dict) else branch for branch in branches}
    return "array" in kinds and bool(kinds & {"bytes", "fixed"})


def _anonymous(branches: list[Any]) -> list[Any]:
    # Records refer to others; what is inside does not matter for telling branches apart.
    return [
        {"type": "record", "name": b["name"], "fields": []}
        if isinstance(b, dict) and b["type"] == "record"
        else {"type": b["type"], ("items" if b["type"] == "array" else "values"): "int"}
        if isinstance(b, dict) and b["type"] in ("array", "map")
        else b
        for b in branches
    ]


# -- values


def _rfc3339(value: dt.datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


_ZONES = st.integers(-23, 23).map(lambda hours: dt.timezone(dt.timedelta(hours=hours, minutes=30)))
_TIMES = st.datetimes(timezones=st.just(dt.UTC) | _ZONES).map(_rfc3339)


def values(type_: Type, level: int = 0) -> st.SearchStrategy[Any]:  # noqa: C901, PLR0911, PLR0912 (one return a type)
    """JSON values of a type."""
    match type_:
        case model.Null():
            return st.none()
        case model.Boolean():
            return st.booleans()
        case model.Integer(low=low, high=high):
            return st.integers(low, high) | st.sampled_from([low, high])
        case model.Float(low=low, high=high):
            return st.floats(low, high, allow_nan=False, allow_infinity=False)
        case model.Text(allowed=tuple(allowed)):
            return st.sampled_from(allowed)
        case model.Text(min_length=low, max_length=high):
            free = st.text(min_size=low or 0, max_size=high if high is not None else 20)
            return free if low or high is not None else free | TEXTS
        case model.Uuid():
            return st.uuids().map(str) | st.uuids().map(lambda each: str(each).upper())
        case model.Enum(symbols=symbols):
            return st.sampled_from(symbols)
        case model.Bytes(min_length=low, max_length=high):
            return st.binary(min_size=low or 0, max_size=20 if high is None else high).map(_base64)
        case model.Fixed(size=size):
            return st.binary(min_size=size, max_size=size).map(_base64)
        case model.Timestamp(low=low, high=high):
            number = st.integers(low, high)
            return number if high < 2**63 - 1 else number | _TIMES
        case model.Date(low=low, high=high):
            return st.integers(low, high) if high < 2**31 - 1 else st.integers(low, high) | st.dates().map(str)
        case model.Decimal(precision=precision, scale=scale):
            return st.integers(-(10**precision) + 1, 10**precision - 1).map(lambda n: in_digits(n, scale))
        case model.Array(items=items, max_items=most):
            return st.lists(values(items, level + 1), max_size=min(3, 3 if most is None else most))
        case model.Map(values=inner, max_items=most):
            keys = st.text(max_size=5)
            return st.dictionaries(keys, values(inner, level + 1), max_size=min(3, 3 if most is None else most))
        case model.Record(fields=fields):
            return st.fixed_dictionaries({each.name: values(each.type, level + 1) for each in fields})
        case model.Union(branches=branches):
            kept = [b for b in branches if level < 6 or not isinstance(b, model.Record)] or branches
            return st.one_of([values(branch, level + 1) for branch in kept])
    raise AssertionError(type_)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def native(type_: Type, value: Any) -> Any:  # noqa: PLR0911 (one return a type)
    """What fastavro takes for a decoded value."""
    match type_:
        case model.Record(fields=fields):
            return {each.name: native(each.type, getattr(value, each.attribute)) for each in fields}
        case model.Array(items=items):
            return [native(items, each) for each in value]
        case model.Map(values=inner):
            return {key: native(inner, each) for key, each in value.items()}
        case model.Union(branches=branches):
            return native(next(branch for branch in branches if is_of(branch, value)), value)
        case model.Uuid(is_fixed=True):
            return uuid.UUID(value).bytes
        case model.Json():
            return bytes(value).decode() if isinstance(value, msgspec.Raw) else value
        case model.Decimal():
            return decimal.Decimal(value) if value else decimal.Decimal(0)  # fastavro writes -0 in a fixed as -2
        case model.Timestamp() | model.Date() if isinstance(value, int):
            return int(value)
    return value


def written_by_fastavro(schema: dict[str, Any], value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema, named_schemas={}), value)
    return out.getvalue()


_CLASSES: dict[type, tuple[type, ...]] = {
    model.Null: (type(None),),
    model.Boolean: (bool,),
    model.Integer: (int,),
    model.Float: (float,),
    model.Timestamp: (int, dt.datetime),
    model.Date: (int, dt.date),
    model.Decimal: (decimal.Decimal,),
    model.Bytes: (bytes,),
    model.Fixed: (bytes,),
    model.Array: (list,),
    model.Map: (dict,),
    model.Record: (msgspec.Struct,),
}


def is_of(type_: Type, value: Any) -> bool:
    classes = _CLASSES.get(type(type_), (str,))
    return isinstance(value, classes) and (not isinstance(value, bool) or isinstance(type_, model.Boolean))


# -- values that are nearly right

_WRONG = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from([2**31, -(2**31) - 1, 2**63, -(2**63) - 1, 10**30, 1.5, -0.0, 1e300, 1e39]),
    TEXTS,
    st.sampled_from(["2026-01-31T12:00:00", "2026-01-31T12:00:00Z", "2026-02-30", "1.50", "1e3", "AA==", "AA", "NaN"]),
    st.uuids().map(str),
    st.just([]),
    st.just({}),
    st.lists(st.integers(), max_size=4),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=4),
)


@st.composite
def near(draw: st.DrawFn, value: Any) -> Any:  # noqa: PLR0911 (one return a kind)
    """`value`, perhaps with a part exchanged, removed or added."""
    what = draw(st.sampled_from(["keep", "inside", "inside", "inside", "exchange", "remove", "add"]))
    if what == "inside" and isinstance(value, dict) and value:
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: draw(near(value[key]))}
    if what == "inside" and isinstance(value, list) and value:
        index = draw(st.integers(0, len(value) - 1))
        return [*value[:index], draw(near(value[index])), *value[index + 1 :]]
    if what == "remove" and isinstance(value, dict | list) and value:
        gone = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        if isinstance(value, dict):
            return {key: each for key, each in value.items() if key != gone}
        return [each for index, each in enumerate(value) if index != gone]
    if what == "add" and isinstance(value, dict):
        return {**value, draw(NAMES): draw(_WRONG)}
    if what == "add" and isinstance(value, list):
        return [*value, *value, draw(_WRONG)]
    return value if what == "keep" else draw(_WRONG)
