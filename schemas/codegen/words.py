"""Types in the words of a contract: "integer from 100 to 599", "one of USD, EUR, …"."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.codegen import model
from schemas.codegen.model import Type

_MOST_CHARACTERS = 60  # of a list of allowed values


def words(type_: Type) -> str:  # noqa: C901, PLR0911, PLR0912 (one return a type)
    match type_:
        case model.Null():
            return "null"
        case model.Boolean():
            return "true or false"
        case model.Integer(low=low, high=high, is_long=is_long):
            whole = model.LONG if is_long else model.INT
            return _between("integer", low, high, whole) or f"integer of {64 if is_long else 32} bits"
        case model.Float(low=low, high=high, is_double=is_double):
            ends = (None, None) if is_double else (-model.FLOAT_MAX, model.FLOAT_MAX)
            return _between("number", low, high, ends) or f"number of {64 if is_double else 32} bits"
        case model.Text(allowed=tuple(allowed)):
            return _one_of(allowed)
        case model.Text(min_length=low, max_length=high):
            return _sized("text", low, high, "character")
        case model.Uuid():
            return "UUID"
        case model.Json():
            return "JSON"
        case model.Enum(symbols=symbols):
            return _one_of(symbols)
        case model.Bytes(min_length=low, max_length=high):
            return _sized("base64", low, high, "byte")
        case model.Fixed(size=size):
            return _sized("base64", size, size, "byte")
        case model.Timestamp(low=low, high=high, per_second=per):
            word = f"timestamp (RFC 3339 or integer {'milli' if per == 1_000 else 'micro'}seconds)"
            return _between(word, low, high, model.LONG) or word
        case model.Date(low=low, high=high):
            return (
                _between("date (YYYY-MM-DD or integer days)", low, high, model.INT)
                or "date (YYYY-MM-DD or integer days)"
            )
        case model.Decimal(precision=precision, scale=scale, low=low, high=high):
            word = _between("decimal", low, high, (None, None)) or "decimal"
            return f"{word} with at most {precision} digits, {scale} of them fractional"
        case model.Array(max_items=most):
            return _sized("array", None, most, "item")
        case model.Map(max_items=most):
            return _sized("object", None, most, "entry")
        case model.Record():
            return "object"
        case model.Union(branches=branches):
            some = [words(branch) for branch in branches if not isinstance(branch, model.Null)]
            every = " or ".join(some)
            return every if len(some) == len(branches) else f"{every}{',' if ' ' in every else ''} or null"


def _between(word: str, low: float | None, high: float | None, whole: tuple[float | None, float | None]) -> str | None:
    """None where nothing but the type itself bounds it."""
    if low == whole[0] and high == whole[1]:
        return None
    if high == whole[1]:
        return f"{word} of at least {low}"
    if low == whole[0]:
        return f"{word} of at most {high}"
    return f"{word} from {low} to {high}"


def _sized(word: str, low: int | None, high: int | None, unit: str) -> str:
    if high is None:
        return f"{word} of at least {_counted(low, unit)}" if low else word
    if low == high:
        return f"{word} of {_counted(high, unit)}"
    return f"{word} of {low} to {_counted(high, unit)}" if low else f"{word} of at most {_counted(high, unit)}"


def _counted(number: int, unit: str) -> str:
    many = f"{unit[:-1]}ies" if unit.endswith("y") else f"{unit}s"
    return f"{number} {unit if number == 1 else many}"


def _one_of(values: Iterable[str]) -> str:
    shown: list[str] = []
    for value in values:
        if shown and len(", ".join([*shown, value])) > _MOST_CHARACTERS:
            shown.append("…")
            break
        shown.append(value[:_MOST_CHARACTERS])
    return f"one of {', '.join(shown)}"
