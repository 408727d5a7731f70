"""Avro record → `msgspec.Struct` types, so that decoding JSON *is* validating it (Avro 1.12, "Complex Types").

Bounds come from attributes that plain Avro tools ignore (`minimum`, `maxLength`, …). A record says by `unknown` what
becomes of fields it does not declare. What msgspec has no constraint for (digits of a decimal, bounds of a time that
may come as text) is a type of its own here, which a `Reader` reads through a hook: it costs only where it is used.
"""

from __future__ import annotations

import datetime as dt
import decimal
import re
from collections.abc import Callable
from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from core.errors import ConfigError
from schemas.codegen import model
from schemas.codegen.defaults import json_default
from schemas.codegen.model import Record, Type
from schemas.codegen.parse import parse

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_EPOCH_DAY = dt.date(1970, 1, 1).toordinal()
# What RFC 3339 can say: years 1 to 9999. Bounds this wide need no check of times that come as text.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
_FIRST_DAY, _LAST_DAY = dt.date.min.toordinal() - _EPOCH_DAY, dt.date.max.toordinal() - _EPOCH_DAY
_DATETIME = Annotated[dt.datetime, msgspec.Meta(tz=True)]
_HEX = "[0-9a-fA-F]"
# Clients write UUIDs in either case (Apple's in capitals); it is kept as sent.
_UUID = Annotated[str, msgspec.Meta(pattern=rf"\A{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}\Z")]
_DIGITS = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)


def millis(value: dt.datetime | int) -> int:
    """Milliseconds since 1970 UTC, rounded as fastavro does."""
    if isinstance(value, int):
        return int(value)
    since = value - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000


def micros(value: dt.datetime | int) -> int:
    """Microseconds since 1970 UTC."""
    if isinstance(value, int):
        return int(value)
    since = value - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def days(value: dt.date | int) -> int:
    """Days since 1970-01-01."""
    return int(value) if isinstance(value, int) else value.toordinal() - _EPOCH_DAY


# -- types that msgspec has no constraint for


class NumberText(str):
    """A JSON number with a fraction or an exponent, as it was written."""

    __slots__ = ()


class _Bounded(int):
    """A time within bounds, in its Avro unit, whether it came as text or as a number."""

    word: str
    unit: Any
    text_type: Any
    low: int
    high: int

    @classmethod
    def read(cls, value: object) -> _Bounded:
        if type(value) is int:
            number = value
        elif type(value) is str:
            try:
                number = cls.unit(msgspec.convert(value, cls.text_type))
            except msgspec.ValidationError as error:
                raise ValueError(str(error)) from error
        else:
            raise ValueError(f"Expected `{cls.word}`, got `{_word(value)}`")
        if number < cls.low:
            raise ValueError(f"Expected `{cls.word}` >= {cls.low}")
        if number > cls.high:
            raise ValueError(f"Expected `{cls.word}` <= {cls.high}")
        return cls(number)


class _Digits(decimal.Decimal):
    """A decimal within a precision and scale, from text or from a number as it was written."""

    scale: int
    whole: int
    """Digits before the point."""
    low: float | None
    high: float | None
    fits: Callable[[str], object]
    """Whether text is a number within precision and scale, written without an exponent."""

    @classmethod
    def read(cls, value: object) -> _Digits:
        if isinstance(value, str):
            number = cls(value) if cls.fits(value) else cls._unusual(value)
        elif type(value) is int:
            number = cls(value)
            if number.adjusted() >= cls.whole and value:
                raise ValueError(f"Expected `decimal` of length <= {cls.whole}")
        else:
            raise ValueError(f"Expected `decimal`, got `{_word(value)}`")
        if cls.low is not None and number < cls.low:
            raise ValueError(f"Expected `decimal` >= {cls.low}")
        if cls.high is not None and number > cls.high:
            raise ValueError(f"Expected `decimal` <= {cls.high}")
        return number

    @classmethod
    def _unusual(cls, value: str) -> _Digits:
        # An exponent is for numbers alone, where JSON allows it: it may still be within the digits.
        if type(value) is not NumberText and not _DIGITS.fullmatch(value):
            raise ValueError("Expected `decimal`, got `str`")
        try:
            number = cls(value)
        except decimal.InvalidOperation as error:  # an exponent that no decimal holds
            raise ValueError(f"Expected `decimal` of length <= {cls.whole}") from error
        if -int(number.as_tuple().exponent) > cls.scale:
            raise ValueError(f"Expected `decimal` of scale <= {cls.scale}")
        if number and number.adjusted() >= cls.whole:
            raise ValueError(f"Expected `decimal` of length <= {cls.whole}")
        return number


def _digits_pattern(about: model.Decimal) -> str:
    whole = about.precision - about.scale
    before = rf"(?:0|[1-9][0-9]{{0,{whole - 1}}})" if whole else "0"
    after = rf"(?:\.[0-9]{{1,{about.scale}}})?" if about.scale else ""
    return f"-?{before}{after}"


def _digits(about: model.Decimal) -> type[_Digits]:
    whole = about.precision - about.scale
    fits = staticmethod(re.compile(_digits_pattern(about), re.ASCII).fullmatch)
    members = {"scale": about.scale, "whole": whole, "low": about.low, "high": about.high, "fits": fits}
    return type(_Digits.__name__, (_Digits,), members)


_WORDS = {NoneType: "null", list: "array", dict: "object", NumberText: "float"}


def _word(value: object) -> str:
    """As msgspec calls types in its messages."""
    return _WORDS.get(type(value)) or type(value).__name__


def read(type_: Any, value: object) -> Any:
    """Hook of decoders and of `msgspec.convert` for the types above."""
    return type_.read(value)


def decoder_of(type_: Any) -> msgspec.json.Decoder[Any]:
    """A decoder that knows the types above. Those of other Struct types need it not, and lose nothing by it."""
    return msgspec.json.Decoder(type_, dec_hook=read, float_hook=NumberText)


# -- Struct types


class StructTypes(NamedTuple):
    """Two forms of one record: `strict`, a subclass of `lenient`, refuses every field that is not declared, at any
    depth. What it decodes was validated to the last byte; a field skipped by `lenient` was not.
    """

    lenient: type[msgspec.Struct]
    strict: type[msgspec.Struct]


def struct_type(schema: dict[str, Any]) -> type[msgspec.Struct]:
    """The Struct type of an Avro record. Decode it with `decoder_of`.

    Raises:
        ConfigError: the schema uses a type that has no JSON form here; names the path.
    """
    return struct_types(parse(schema)).lenient


def struct_types(record: Record) -> StructTypes:
    lenient = _Builder(strict=False, bases={})
    lenient_type = lenient.record(record, "$")
    lenient.finish()
    if all(each.unknown == "reject" for each in model.walk(record) if isinstance(each, Record)):
        return StructTypes(lenient_type, lenient_type)
    strict = _Builder(strict=True, bases=lenient.structs)
    strict_type = strict.record(record, "$")
    strict.finish()
    return StructTypes(lenient_type, strict_type)


def quick_type(record: Record) -> type[msgspec.Struct] | None:
    """A type that is decoded into only to see whether text fits: without the hooks of the types above, which run in
    Python. It takes what the strict form takes or less, never more: no number with a fraction for a decimal, no text
    for a time within bounds. None where that cannot be said without a hook.
    """
    try:
        return _QuickBuilder(strict=True, bases={}).record(record, "$")
    except _NeedsHookError:
        return None


class _NeedsHookError(Exception):
    pass


@dataclass(slots=True)
class _Anew:
    """A default that each event needs its own of. `type` is known once all types are."""

    value: Any
    avro: Type
    path: str
    type: Any = None

    def __call__(self) -> Any:
        return msgspec.convert(self.value, self.type, dec_hook=read)


def leaf_type(type_: Type) -> Any:
    """The msgspec type of a type without parts."""
    return _Builder(strict=False, bases={}).type(type_, "$")


class _Builder:
    def __init__(self, *, strict: bool, bases: dict[int, type[msgspec.Struct]]) -> None:
        self.structs: dict[int, type[msgspec.Struct]] = {}
        self._strict = strict
        self._bases = bases
        self._defaults: list[_Anew] = []

    def record(self, record: Record, path: str) -> type[msgspec.Struct]:
        if (known := self.structs.get(id(record))) is not None:
            return known
        fields: list[Any] = []
        for each in record.fields:
            at = f"{path}.{each.name}"
            fields.append((each.attribute, Any, self._default(each, at)) if each.has_default else (each.attribute, Any))
        struct = msgspec.defstruct(
            record.short_name,
            fields,
            bases=(self._bases[id(record)],) if self._strict else None,
            rename={each.attribute: each.name for each in record.fields if each.attribute != each.name},
            kw_only=True,
            frozen=True,
            gc=False,
            forbid_unknown_fields=self._strict or record.unknown == "reject",
        )
        self.structs[id(record)] = struct
        # msgspec looks at annotations when the first decoder is made. Filled in only now, they may lead back here.
        for each in record.fields:
            struct.__annotations__[each.attribute] = self.type(each.type, f"{path}.{each.name}")
        return struct

    def finish(self) -> None:
        """Check the defaults that are built anew for each event, now that all types are there."""
        for default in self._defaults:
            default.type = self.type(default.avro, default.path)
            _converted(default.value, default.type, default.path)

    def _default(self, field: model.Field, path: str) -> Any:
        type_ = field.type
        value = json_default(type_, field.default, path)
        if isinstance(value, list | dict):
            anew = _Anew(value, type_, path)
            self._defaults.append(anew)
            is_empty = not value and isinstance(type_, model.Array | model.Map)
            return msgspec.field(default_factory=type(value) if is_empty else anew)
        if isinstance(value, msgspec.Raw):
            return value
        branches = type_.branches if isinstance(type_, model.Union) else [type_]
        scalars: list[Type] = [each for each in branches if not isinstance(each, model.Array | model.Map | Record)]
        # Without the records among the branches: msgspec must not look at them before they are complete.
        return _converted(value, self._union(scalars, path) if scalars else NoneType, path)

    def type(self, type_: Type, path: str) -> Any:  # noqa: C901, PLR0911, PLR0912 (one return a type)
        match type_:
            case model.Null():
                return NoneType
            case model.Boolean():
                return bool
            case model.Integer(low=low, high=high):
                return Annotated[int, msgspec.Meta(ge=low, le=high)]
            case model.Float(low=None, high=None):
                return float
            case model.Float(low=low, high=high):
                return Annotated[float, msgspec.Meta(ge=low, le=high)]
            case model.Text(allowed=tuple(allowed)):
                return Literal[allowed]
            case model.Text(min_length=None, max_length=None):
                return str
            case model.Text(min_length=low, max_length=high):
                return Annotated[str, msgspec.Meta(min_length=low, max_length=high)]
            case model.Uuid():
                return _UUID
            case model.Json():
                return msgspec.Raw
            case model.Enum(symbols=symbols):
                return Literal[symbols]
            case model.Bytes(min_length=None, max_length=None):
                return bytes
            case model.Bytes(min_length=low, max_length=high):
                return Annotated[bytes, msgspec.Meta(min_length=low, max_length=high)]
            case model.Fixed(size=size):
                return Annotated[bytes, msgspec.Meta(min_length=size, max_length=size)]
            case model.Timestamp() | model.Date():
                return _time(type_)
            case model.Decimal():
                return _digits(type_)
            case model.Array(items=items, max_items=most):
                array: Any = list[self.type(items, f"{path}[]")]  # type: ignore[misc] # built at run time
                return array if most is None else Annotated[array, msgspec.Meta(max_length=most)]
            case model.Map(values=values, max_items=most):
                map_: Any = dict[str, self.type(values, f"{path}[]")]  # type: ignore[misc] # built at run time
                return map_ if most is None else Annotated[map_, msgspec.Meta(max_length=most)]
            case Record():
                return self.record(type_, path)
            case model.Union(branches=branches):
                return self._union(branches, path)

    def _union(self, branches: list[Type], path: str) -> Any:
        some = [each for each in branches if not isinstance(each, model.Null)]
        if len(some) > 1 and any(map(_is_hooked, some)):
            raise ConfigError(f"{path}: a decimal, or a time within bounds, shares a union with null alone")
        # msgspec 0.22 corrupts memory when it frees a type of text with a pattern beside an array or a map.
        if any(isinstance(each, model.Uuid) for each in some) and any(
            isinstance(each, model.Array | model.Map) for each in some
        ):
            raise ConfigError(f"{path}: a uuid shares no union with an array or a map")
        out: Any = None
        for branch in branches:
            type_ = self.type(branch, path)
            out = type_ if out is None else out | type_
        return out


class _QuickBuilder(_Builder):
    def record(self, record: Record, path: str) -> type[msgspec.Struct]:
        if (known := self.structs.get(id(record))) is not None:
            return known
        fields: list[Any] = [(e.attribute, Any, None) if e.has_default else (e.attribute, Any) for e in record.fields]
        struct = msgspec.defstruct(
            record.short_name,
            fields,
            rename={each.attribute: each.name for each in record.fields if each.attribute != each.name},
            kw_only=True,
            gc=False,
            forbid_unknown_fields=True,
        )
        self.structs[id(record)] = struct
        for each in record.fields:
            struct.__annotations__[each.attribute] = self.type(each.type, f"{path}.{each.name}")
        return struct

    def type(self, type_: Type, path: str) -> Any:
        match type_:
            case model.Timestamp(low=low, high=high) | model.Date(low=low, high=high) if _is_hooked(type_):
                return Annotated[int, msgspec.Meta(ge=low, le=high)]
            case model.Decimal(low=None, high=None):
                most = _most(type_)
                return (
                    Annotated[str, msgspec.Meta(pattern=rf"\A{_digits_pattern(type_)}\Z")]
                    | Annotated[int, msgspec.Meta(ge=-most, le=most)]
                )
            case model.Decimal(low=0, high=None):
                text = msgspec.Meta(pattern=rf"\A{_digits_pattern(type_).removeprefix('-?')}\Z")
                return Annotated[str, text] | Annotated[int, msgspec.Meta(ge=0, le=_most(type_))]
            case model.Decimal():
                raise _NeedsHookError
        return super().type(type_, path)


def _most(about: model.Decimal) -> int:
    """The largest whole number of a decimal's digits that a bound of msgspec's can be."""
    return min(int(10 ** (about.precision - about.scale)) - 1, model.LONG[1])


def _is_hooked(type_: Type) -> bool:
    match type_:
        case model.Decimal():
            return True
        # An offset may carry a time over bounds as wide as all times, by hours, in the years 1 and 9999.
        case model.Timestamp(per_second=per, low=low, high=high):
            return low > _FIRST_SECOND * per or high < _LAST_SECOND * per + per - 1
        case model.Date(low=low, high=high):
            return low > _FIRST_DAY or high < _LAST_DAY
    return False


def _time(type_: model.Timestamp | model.Date) -> Any:
    word, unit, text = _time_forms(type_)
    if not _is_hooked(type_):
        return Annotated[int, msgspec.Meta(ge=type_.low, le=type_.high)] | text
    about = {"word": word, "unit": staticmethod(unit), "text_type": text, "low": type_.low, "high": type_.high}
    return type(_Bounded.__name__, (_Bounded,), about)


def _time_forms(type_: model.Timestamp | model.Date) -> tuple[str, Callable[[Any], int], Any]:
    if isinstance(type_, model.Date):
        return "date", days, dt.date
    return "timestamp", millis if type_.per_second == 1_000 else micros, _DATETIME


def _converted(value: Any, type_: Any, path: str) -> Any:
    try:
        return msgspec.convert(value, type_, dec_hook=read)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: the default {value!r} is not of the field's type: {error}") from error
