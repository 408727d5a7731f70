"""Events that keep a contract, made up from it: the same for the same seed, each different, none absurd.

What a schema says of a field guides its values: examples, allowed values and bounds first, the type only after them.
Amounts of one sample are not made to add up: a schema cannot say how they hang together.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import random
import re
import uuid
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import msgspec

from core.errors import ConfigError
from schemas.codegen import model
from schemas.codegen.compiled import DECODE_ERRORS, DEFAULT_MAX_DEPTH, compile_record
from schemas.codegen.defaults import in_digits
from schemas.codegen.model import Type
from schemas.references import full_name

# Of optional fields. Every seed begins with a sample that has them all.
_SHARE_PRESENT = 0.75
# Levels after which nothing optional is made: types that contain themselves have no end.
_DEEP = 5
# Where even what is required never ends.
_TOO_DEEP = 64
_WIDTH = 100  # of a range without an upper bound
_DAY_S = 86_400
_MONTH_DAYS = 28
# Samples must not change from day to day, so they happen in one month of their own.
_FROM = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799  # what RFC 3339 can say
_WORDS = (
    *("amber", "basil", "cedar", "delta", "ember", "fable", "grove", "harbor", "iris", "jade", "kite", "lumen"),
    *("maple", "north", "olive", "pearl", "quartz", "river", "sage", "tide", "umber", "velvet", "willow", "zephyr"),
)


def samples(resolved: dict[str, Any], *, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Valid properties without end. `resolved` is a self-contained schema; the first sample has every field.

    Raises:
        ConfigError: the schema takes no value at all, or none within its limits.
    """
    maker = Maker(resolved)
    number = 0
    while True:
        # A generator of its own for each: the tenth sample is the same whether or not the ninth was made.
        yield maker.sample(random.Random(f"{seed}/{number}"), whole=number == 0)  # noqa: S311 (no secret)
        number += 1


class Maker:
    """Makes values of the types of one schema."""

    def __init__(self, resolved: dict[str, Any]) -> None:
        compiled = compile_record(resolved)
        self.record = compiled.record
        self._decode = compiled.decode
        self._max_depth = resolved.get("maxDepth", DEFAULT_MAX_DEPTH)
        self._hints = dict(_hints(resolved, ""))

    def sample(self, rng: random.Random, *, whole: bool) -> dict[str, Any]:
        """Valid properties; with `whole`, every optional field too, as far as limits allow."""
        # Examples may be wrong, and what is complete may be too large: then less of both.
        for share, hinted in ((1.0 if whole else _SHARE_PRESENT, True), (_SHARE_PRESENT, False), (0.0, False)):
            drawn = _Draw(rng, share, self._hints if hinted else {}, self._max_depth)
            value: dict[str, Any] = drawn.record(self.record, 1)
            if self._is_valid(value):
                return value
        raise ConfigError(f"no sample of {self.record.name} keeps to its own limits")

    def _is_valid(self, value: dict[str, Any]) -> bool:
        try:
            self._decode(msgspec.json.encode(value))
        except DECODE_ERRORS:
            return False
        return True


class _Hint(msgspec.Struct, frozen=True):
    """What the schema's JSON says of a field beyond its type. A field with a unit is a measurement, one that stands for
    a person differs from event to event.
    """

    examples: list[Any]
    is_measured: bool
    is_personal: bool


_NO_HINT = _Hint([], is_measured=False, is_personal=False)
# By the full name of the record and the field's own. The field "" stands for what a record does not declare.
_Hints = dict[tuple[str, str], _Hint]
_REST = ""
_NUMBER_IN_ID = re.compile(r"[0-9]{3,}(?=[^0-9]*\Z)", re.ASCII)


def _hints(node: Any, namespace: str) -> Iterator[tuple[tuple[str, str], _Hint]]:
    if isinstance(node, list):
        for branch in node:
            yield from _hints(branch, namespace)
    if not isinstance(node, dict):
        return
    if node.get("type") != "record":
        for key in ("type", "items", "values"):
            yield from _hints(node.get(key), namespace)
        return
    name = full_name(node["name"], node.get("namespace", namespace) or "")
    for field in node["fields"]:
        given = _list(field.get("examples"))
        if not given and not _is_a_choice(field):
            given = _seen(node, field["name"])
        about = _Hint(given, is_measured="unit" in field, is_personal=field.get("pii") == "pseudonymous")
        yield (name, field["name"]), about
        yield from _hints(field["type"], name.rpartition(".")[0])
    declared = {field["name"] for field in node["fields"]}
    rests = [
        {key: value for key, value in each.items() if key not in declared}
        for each in _list(node.get("examples"))
        if isinstance(each, dict)
    ]
    yield (name, _REST), _Hint(rests, is_measured=False, is_personal=False)


def _is_a_choice(field: dict[str, Any]) -> bool:
    """Its values are listed, so the list is the better guide."""
    return "allowed" in field or any(f'"{key}"' in json.dumps(field["type"]) for key in ("allowed", "symbols"))


def _seen(record: dict[str, Any], field: str) -> list[Any]:
    """What the field holds in the examples of the whole record."""
    found = [each.get(field) for each in _list(record.get("examples")) if isinstance(each, dict)]
    return [each for each in found if each is not None and not isinstance(each, dict | list)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


class _Draw:
    """One sample in the making. `share` of optional fields is there."""

    def __init__(self, rng: random.Random, share: float, hints: _Hints, max_depth: int) -> None:
        self._rng = rng
        self._share = share
        self._hints = hints
        self._max_depth = max_depth

    def record(self, record: model.Record, level: int) -> dict[str, Any]:
        if level > _TOO_DEEP:
            raise ConfigError(f"{record.name} requires itself without end")
        out = {}
        for field in record.fields:
            if field.has_default and not self._is_present(field.type, level):
                continue
            hint = self._hints.get((record.name, field.name), _NO_HINT)
            try:
                out[field.name] = self.value(field.type, hint, level)
            except ConfigError:
                if not field.has_default:
                    raise
        if record.unknown == "open" and (rests := self._hints.get((record.name, _REST), _NO_HINT).examples):
            out |= self._rng.choice(rests)
        return out

    def _is_present(self, type_: Type, level: int) -> bool:
        if isinstance(type_, model.Union):
            type_ = _substance(type_)
        if isinstance(type_, model.Record | model.Array | model.Map) and self._is_deep(level):
            return False
        return self._rng.random() < self._share

    def _is_deep(self, level: int) -> bool:
        return level >= min(_DEEP, self._max_depth)

    def value(self, type_: Type, hint: _Hint, level: int) -> Any:  # noqa: C901, PLR0911 (one return a type)
        """`level` is the depth of the object or array that the value goes into."""
        rng = self._rng
        match type_:
            case model.Union(branches=branches):
                nullable = any(isinstance(branch, model.Null) for branch in branches)
                inner = _substance(type_)
                if nullable and isinstance(inner, model.Record) and self._is_deep(level):
                    return None
                return self.value(inner, hint, level)
            case model.Record():
                return self.record(type_, level + 1)
            case model.Array() | model.Map() if hint.examples:
                return rng.choice(hint.examples)
            case model.Array(items=items, max_items=most):
                return [self.value(items, _NO_HINT, level + 1) for _ in range(self._count(most, level))]
            case model.Map(values=values, max_items=most):
                keys = rng.sample(_WORDS, self._count(most, level))
                return {key: self.value(values, _NO_HINT, level + 1) for key in keys}
            case model.Integer(low=low, high=high):
                return _between(rng, hint, low, high, widest=(-(2**31), 2**31 - 1))
            case model.Decimal():
                return _decimal(rng, hint, type_)
        if not hint.examples or isinstance(type_, model.Timestamp | model.Date):
            return _leaf(type_, rng)
        given = rng.choice(hint.examples)
        if hint.is_personal and isinstance(type_, model.Text) and type_.allowed is None and isinstance(given, str):
            return _NUMBER_IN_ID.sub(lambda found: _digits(rng, len(found[0])), given)
        return given

    def _count(self, most: int | None, level: int) -> int:
        """How many items: none where it is deep, as lists of lists of records grow fast."""
        if self._is_deep(level) or self._share == 0:
            return 0
        return self._rng.randint(1, 3) if most is None else min(most, self._rng.randint(1, 3))


def _substance(union: model.Union) -> Type:
    """The first branch that is not null."""
    return next((branch for branch in union.branches if not isinstance(branch, model.Null)), union.branches[0])


def _leaf(type_: Type, rng: random.Random) -> Any:  # noqa: C901, PLR0911 (one return a type)
    match type_:
        case model.Boolean():
            return rng.random() < 0.5
        case model.Float(low=low, high=high):
            return _float(rng, low, high)
        case model.Text():
            return _text(rng, type_)
        case model.Enum(symbols=symbols):
            return rng.choice(symbols)
        case model.Uuid():
            return str(uuid.UUID(int=rng.getrandbits(128), version=4))
        case model.Bytes(min_length=least, max_length=most):
            least = least or 0
            size = rng.randint(least, least + 8 if most is None else min(most, least + 8))
            return base64.b64encode(rng.randbytes(size)).decode()
        case model.Fixed(size=size):
            return base64.b64encode(rng.randbytes(size)).decode()
        case model.Timestamp():
            return _timestamp(rng, type_)
        case model.Date(low=low, high=high):
            day = _within((_FROM - _EPOCH).days + rng.randrange(_MONTH_DAYS), low, high)
            is_a_date = _FIRST_SECOND <= day * _DAY_S <= _LAST_SECOND
            return str((_EPOCH + dt.timedelta(days=day)).date()) if is_a_date else day
        case model.Json():
            return {}
    return None


def _digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choices("0123456789", k=count))


def _text(rng: random.Random, type_: model.Text) -> str:
    if type_.allowed:
        return rng.choice(type_.allowed)
    least, most = type_.min_length or 0, type_.max_length
    text = rng.choice(_WORDS)
    while len(text) < least:
        text += f" {rng.choice(_WORDS)}"
    return text if most is None else text[:most].strip().ljust(least, "x")


def _between(rng: random.Random, hint: _Hint, low: int, high: int, *, widest: tuple[int, int]) -> int:
    """A whole number: a measurement lies anywhere between the examples, other numbers are one of them."""
    given = [each for each in hint.examples if type(each) is int]
    if given and not hint.is_measured:
        return rng.choice(given)
    if given:
        return rng.randint(_within(min(given), low, high), _within(max(given), low, high))
    start = low if low > widest[0] else _within(0, low, high)
    return rng.randint(start, min(high, start + _WIDTH))


def _float(rng: random.Random, low: float | None, high: float | None) -> float:
    if low is not None and high is not None and low > high:
        raise ConfigError("no number lies between minimum and maximum")
    start = low if low is not None and low > -1e9 else min(0.0, 0.0 if high is None else high)
    end = start + _WIDTH if high is None else min(high, start + _WIDTH)
    drawn = rng.uniform(start, end)
    rounded = round(drawn, 2)
    return rounded if start <= rounded <= end else drawn


def _decimal(rng: random.Random, hint: _Hint, type_: model.Decimal) -> str:
    """Digits with two places after the point, where the scale allows them and a value between the bounds has them."""
    if hint.examples and not hint.is_measured:
        return str(rng.choice(hint.examples))
    low, high = decimal_bounds(type_)
    given = [int(Fraction(str(each)) * 10**type_.scale) for each in hint.examples if _is_number(each)]
    start = _within(min(given), low, high) if given else low if type_.low is not None else _within(0, low, high)
    end = _within(max(given), low, high) if given else min(high, start + _WIDTH * 10**type_.scale)
    step = 10 ** max(0, type_.scale - 2)
    first, last = -(-start // step), end // step
    unscaled = rng.randint(first, last) * step if first <= last else start
    digits = in_digits(unscaled, type_.scale)
    return digits[: len(digits) - (type_.scale - 2)] if type_.scale > 2 and unscaled % step == 0 else digits


def decimal_bounds(type_: model.Decimal) -> tuple[int, int]:
    """In units of the last digit. Bounds are floats, and compared exactly."""
    most = 10**type_.precision - 1
    low = -most if type_.low is None else max(-most, math.ceil(Fraction(type_.low) * 10**type_.scale))
    high = most if type_.high is None else min(most, math.floor(Fraction(type_.high) * 10**type_.scale))
    if low > high:
        raise ConfigError("no decimal lies between minimum and maximum")
    return low, high


def _is_number(value: Any) -> bool:
    try:
        Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        return False
    return True


def _timestamp(rng: random.Random, type_: model.Timestamp) -> str | int:
    second = int((_FROM - _EPOCH).total_seconds()) + rng.randrange(_MONTH_DAYS * _DAY_S)
    at = _within(second * type_.per_second, type_.low, type_.high)
    second, rest = divmod(at, type_.per_second)
    if rest or not _FIRST_SECOND <= second <= _LAST_SECOND:
        return at
    return (_EPOCH + dt.timedelta(seconds=second)).isoformat().replace("+00:00", "Z")


def _within(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))
