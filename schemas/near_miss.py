"""Events that break a contract by exactly one rule each: what a validator has to refuse, and why.

Each is a complete sample (`sample`) with one thing changed. What is too large or nested too deep is not among them.
"""

from __future__ import annotations

import base64
import copy
import itertools
import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from schemas.codegen import model
from schemas.codegen.compiled import DEFAULT_MAX_BYTES
from schemas.codegen.defaults import branch_of, in_digits
from schemas.codegen.model import Type
from schemas.sample import Maker, decimal_bounds

_GONE: Final = object()
# One value a kind of JSON, the most telling mistakes first: a number as text, text as a number.
_OF_KIND = {"string": "a text", "number": 12, "boolean": True, "object": {}, "array": []}
_WORDS_OF_KIND = {
    "string": "a text",
    "number": "a number",
    "boolean": "a boolean",
    "object": "an object",
    "array": "an array",
}

_Steps = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class NearMiss:
    """`what` says in words how `properties` breaks its contract at `path`; `code` is that of the fault."""

    properties: Any
    path: str
    code: str
    what: str


@dataclass(frozen=True, slots=True)
class _Place:
    """`steps` lead from the properties to a value, `path` is the same as faults write it."""

    steps: _Steps = ()
    path: str = "$"

    def field(self, name: str) -> _Place:
        return _Place((*self.steps, name), f"{self.path}.{name}")

    def item(self, number: int) -> _Place:
        return _Place((*self.steps, number), f"{self.path}[{number}]")

    def entry(self, key: str) -> _Place:
        return _Place((*self.steps, key), f"{self.path}[{key}]")


@dataclass(frozen=True, slots=True)
class _Break:
    """`path` is where a fault sees it: that of the place, but for a field that is not declared."""

    steps: _Steps
    value: Any
    path: str
    code: str
    what: str


def _break(place: _Place, value: Any, code: str, what: str) -> _Break:
    return _Break(place.steps, value, place.path, code, what)


def near_misses(resolved: dict[str, Any], *, seed: int = 0) -> Iterator[NearMiss]:
    """One for each rule that the contract has. `resolved` is a self-contained schema.

    Raises:
        ConfigError: the schema takes no value at all, or none within its limits.
    """
    maker = Maker(resolved)
    whole = maker.sample(random.Random(f"{seed}/0"), whole=True)  # noqa: S311 (no secret)
    most = resolved.get("maxBytes", DEFAULT_MAX_BYTES)
    for each in _breaks(maker.record, whole, _Place()):
        properties = _changed(whole, each.steps, each.value)
        if len(msgspec.json.encode(properties)) <= most:
            yield NearMiss(properties, each.path, each.code, each.what)


def _changed(whole: Any, steps: _Steps, value: Any) -> Any:
    if not steps:
        return value
    out = copy.deepcopy(whole)
    inner = out
    for step in steps[:-1]:
        inner = inner[step]
    if value is _GONE:
        del inner[steps[-1]]
    else:
        inner[steps[-1]] = value
    return out


def _breaks(type_: Type, value: Any, at: _Place) -> Iterator[_Break]:
    """Every way to break the contract at or below the place where `value` stands."""
    yield from _of_another_kind(type_, at)
    if isinstance(type_, model.Union):
        try:
            type_ = branch_of(type_, value)
        except LookupError:
            return
    match type_:
        case model.Record():
            yield from _in_record(type_, value, at)
        case model.Array(items=items, max_items=most):
            if most is not None and value:
                yield _out_of_bounds(at, (value * (most + 1))[: most + 1], f"has more than {most} items")
            if value:
                yield from _breaks(items, value[0], at.item(0))
        case model.Map(values=values, max_items=most):
            if most is not None and value:
                first = next(iter(value.values()))
                full = {f"key{number}": first for number in range(most + 1)}
                yield _out_of_bounds(at, full, f"has more than {most} entries")
            for key in list(value)[:1]:
                yield from _breaks(values, value[key], at.entry(key))
        case _:
            yield from _of_scalar(type_, at)


def _of_another_kind(type_: Type, at: _Place) -> Iterator[_Break]:
    kinds = model.json_kinds(type_)
    for kind, value in _OF_KIND.items():
        if kind not in kinds:
            yield _break(at, value, "wrong_type", f"is {_WORDS_OF_KIND[kind]}")
            return


def _in_record(record: model.Record, value: dict[str, Any], at: _Place) -> Iterator[_Break]:
    for field in record.fields:
        inner = at.field(field.name)
        if not field.has_default:
            yield _break(inner, _GONE, "missing_field", "is missing")
        if field.name in value:
            yield from _breaks(field.type, value[field.name], inner)
    if record.unknown == "reject":
        name = _other_than({field.name for field in record.fields})
        yield _Break((*at.steps, name), 1, at.path, "unknown_field", f"has a field {name}, which is not declared")


def _of_scalar(type_: Type, at: _Place) -> Iterator[_Break]:  # noqa: C901 (one case a type)
    match type_:
        case model.Integer(low=low, high=high) | model.Timestamp(low=low, high=high) | model.Date(low=low, high=high):
            yield _out_of_bounds(at, low - 1, f"is below {low}")
            yield _out_of_bounds(at, high + 1, f"is above {high}")
        case model.Float(low=low, high=high):
            if low is not None:
                yield _out_of_bounds(at, _beyond(low, -1), f"is below {low:g}")
            if high is not None:
                yield _out_of_bounds(at, _beyond(high, 1), f"is above {high:g}")
        case model.Text(allowed=tuple(allowed)):
            yield _break(at, _other_than(allowed), "not_allowed", f"is none of {_listed(allowed)}")
        case model.Enum(symbols=symbols):
            yield _break(at, _other_than(symbols), "not_allowed", f"is none of {_listed(symbols)}")
        case model.Text(min_length=least, max_length=most):
            yield from _of_length(at, least, most, "characters", lambda length: "x" * length)
        case model.Bytes(min_length=least, max_length=most):
            yield from _of_length(at, least, most, "bytes", _base64)
        case model.Fixed(size=size):
            yield from _of_length(at, None, size, "bytes", _base64)
        case model.Decimal():
            yield from _of_decimal(type_, at)


def _of_length(
    at: _Place, least: int | None, most: int | None, unit: str, made: Callable[[int], str]
) -> Iterator[_Break]:
    if least:
        yield _out_of_bounds(at, made(least - 1), f"is shorter than {least} {unit}")
    if most is not None:
        yield _out_of_bounds(at, made(most + 1), f"is longer than {most} {unit}")


def _of_decimal(type_: model.Decimal, at: _Place) -> Iterator[_Break]:
    scale, whole = type_.scale, type_.precision - type_.scale
    yield _out_of_bounds(at, in_digits(1, scale + 1), f"has more than {scale} digits after the point")
    yield _out_of_bounds(at, in_digits(10**type_.precision, scale), f"has more than {whole} digits before the point")
    low, high = decimal_bounds(type_)
    if type_.low is not None:
        yield _out_of_bounds(at, in_digits(low - 1, scale), f"is below {type_.low:g}")
    if type_.high is not None:
        yield _out_of_bounds(at, in_digits(high + 1, scale), f"is above {type_.high:g}")


def _out_of_bounds(at: _Place, value: Any, what: str) -> _Break:
    return _break(at, value, "out_of_bounds", what)


def _beyond(bound: float, step: int) -> float:
    """A number past the bound also where numbers are so large that one more makes no difference."""
    return bound + step if bound + step != bound else bound + step * abs(bound) / 2


def _base64(size: int) -> str:
    return base64.b64encode(bytes(size)).decode()


def _other_than(values: Collection[str]) -> str:
    return next(each for number in itertools.count() if (each := f"something_else{number or ''}") not in values)


def _listed(values: tuple[str, ...]) -> str:
    return ", ".join(values[:5]) + (", …" if len(values) > 5 else "")
