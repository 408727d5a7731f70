"""All faults of an event, in the words of its contract: the slow path, taken once the decoder has said no.

The decoder stops at the first fault. Here the text is read by the standard library, which lets more through (NaN, lone
surrogates, numbers of any size), so that each of these is told with the path it is at. A schema is compiled to one
closure a type.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Callable
from types import NoneType
from typing import Any, Final

import msgspec

from schemas.codegen import model
from schemas.codegen.model import Record, Type
from schemas.codegen.structs import NumberText, leaf_type, read
from schemas.codegen.words import words
from schemas.faults import Fault, from_decode_error

# A dead letter holds its faults: without a bound, 16 KiB of wrong items would become a megabyte of them.
MOST_FAULTS = 100
_MOST_CHARACTERS = 40
_PERSONAL = re.compile(r"@|[0-9]{6}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_KEY = re.compile(r"[A-Za-z_][\w.-]{0,39}", re.ASCII)


class _Found(list[Fault]):
    """`is_odd` says that the text may hold what is no JSON although the reader takes it."""

    __slots__ = ("is_odd",)

    def __init__(self, *, is_odd: bool) -> None:
        super().__init__()
        self.is_odd = is_odd

    def add(self, fault: Fault) -> None:
        self.append(fault)
        if len(self) >= MOST_FAULTS:
            raise _EnoughError


Check = Callable[[Any, str, _Found], None]


class _NotANumber:
    """What NaN and Infinity are read as; JSON has neither."""


_NAN: Final = _NotANumber()
_KINDS: dict[type, str] = {
    NoneType: "null",
    bool: "boolean",
    int: "number",
    NumberText: "number",
    _NotANumber: "NaN",
    str: "string",
    list: "array",
    dict: "object",
}
_SHOWN_KINDS = _KINDS | {int: "integer"}


class _EnoughError(Exception):
    """MOST_FAULTS are found."""


def compile_explain(record: Record) -> Callable[[bytes, str], list[Fault]]:
    """`explain(data, root)` finds all faults of a JSON text, at most MOST_FAULTS, their paths under `root`.

    It raises RecursionError for text nested deeper than Python's stack, and nothing else.
    """
    check = _Compiler().check(record, shown=False, hidden=False)

    def explain(data: bytes, root: str) -> list[Fault]:
        try:
            text = str(data, "utf-8")
        except UnicodeDecodeError:
            return [Fault("not_utf8", root, "UTF-8", "")]
        try:
            value = _loads(text)
        except ValueError:
            return [_not_json(data, root)]
        # Both are rare, and cannot be in text that has no sign of them.
        found = _Found(is_odd="\\u" in text or "NaN" in text or "Infinity" in text)
        with contextlib.suppress(_EnoughError):
            check(value, root, found)
        return found

    return explain


def _loads(text: str) -> Any:
    try:
        return json.loads(text, parse_float=NumberText, parse_constant=lambda _: _NAN)
    except json.JSONDecodeError:
        raise
    except ValueError:  # more digits than Python makes an integer of; no contract's integer has that many
        return json.loads(text, parse_float=NumberText, parse_int=_long_int, parse_constant=lambda _: _NAN)


def _long_int(digits: str) -> int | float:
    return int(digits) if len(digits) < 400 else NumberText(digits + "e0")  # type: ignore[return-value] # as _loads does


def _not_json(data: bytes, root: str) -> Fault:
    if data.startswith(b"\xef\xbb\xbf"):
        return Fault("not_json", root, "JSON without a byte order mark", "byte order mark")
    if not data.strip():
        return Fault("not_json", root, "JSON", "nothing")
    if b"\0" in data:
        return Fault("not_json", root, "JSON without NUL", "NUL")
    return Fault("not_json", root, "JSON", "")


def _check_text(value: Any, path: str, found: _Found) -> None:
    """What is no JSON, where no type of the contract looks."""
    if not found.is_odd:
        return
    match value:
        case _NotANumber():
            found.add(_no_number(path))
        case dict():
            for key, inner in value.items():
                at = f"{path}{_key(key)}"
                _check_text(key, at, found)
                _check_text(inner, at, found)
        case list():
            for index, inner in enumerate(value):
                _check_text(inner, f"{path}[{index}]", found)
        case str() if _SURROGATE.search(value):
            found.add(_no_unicode(path))


def _no_number(path: str) -> Fault:
    return Fault("not_json", path, "a number that JSON knows", "NaN or Infinity")


def _no_unicode(path: str) -> Fault:
    return Fault("not_json", path, "Unicode text", "half a surrogate pair")


def _key(key: str) -> str:
    """A key that a client chose, in a path: only where it looks like the name of something."""
    return f"[{key}]" if _KEY.fullmatch(key) and not _PERSONAL.search(key) else "[*]"


def _got(value: Any, *, shown: bool) -> str:
    kind = _SHOWN_KINDS[type(value)]
    if not shown or type(value) not in (bool, int, NumberText, str):
        return kind
    try:
        text = json.dumps(value) if type(value) in (bool, int) else str(value)
    except ValueError:  # more digits than Python makes text of
        return kind
    if _PERSONAL.search(text) or not text.isprintable():
        return kind
    if len(text) > _MOST_CHARACTERS:
        text = f"{text[:_MOST_CHARACTERS]}…"
    return f'{kind} "{text}"' if type(value) is str else f"{kind} {text}"


class _Compiler:
    """`shown` says that a value may be told; `hidden` that a field further out forbids it."""

    def __init__(self) -> None:
        self._records: dict[tuple[int, bool, bool], Check] = {}

    def check(self, type_: Type, *, shown: bool, hidden: bool) -> Check:  # noqa: C901, PLR0911, PLR0912 (one return a type)
        expected = words(type_)
        fail = _failing(expected, shown=shown)
        match type_:
            case model.Null():
                return _of_class(NoneType, fail)
            case model.Boolean():
                return _of_class(bool, fail)
            case model.Integer(low=low, high=high):
                return _integer(low, high, fail)
            case model.Float(low=low, high=high):
                return _float(low, high, fail)
            case model.Text(allowed=tuple(allowed)):
                return _one_of(frozenset(allowed), fail)
            case model.Enum(symbols=symbols):
                return _one_of(frozenset(symbols), fail)
            case model.Text(min_length=low, max_length=high):
                return _text(low or 0, high, fail)
            case model.Json():
                return _check_text
            case model.Uuid() | model.Bytes() | model.Fixed():
                return _converted(leaf_type(type_), (str,), fail)
            case model.Timestamp(low=low, high=high) | model.Date(low=low, high=high):
                number, text = _integer(low, high, fail), _converted(leaf_type(type_), (str,), fail)
                return lambda value, path, found: (number if type(value) is int else text)(value, path, found)
            case model.Decimal():
                return _converted(leaf_type(type_), (str, int, NumberText), fail)
            case model.Array(items=items, max_items=most):
                return _array(self.check(items, shown=shown, hidden=hidden), most, fail)
            case model.Map(values=values, max_items=most):
                return _map(self.check(values, shown=shown, hidden=hidden), most, fail)
            case Record():
                return self._record(type_, fail, shown=shown, hidden=hidden)
            case model.Union(branches=branches):
                return self._union(branches, fail, shown=shown, hidden=hidden)

    def _record(self, record: Record, fail: _Fail, *, shown: bool, hidden: bool) -> Check:
        known = self._records.get((id(record), shown, hidden))
        if known is not None:
            return known
        fields: list[tuple[str, str, Check, Fault | None]] = []
        declared = frozenset(each.name for each in record.fields)
        is_closed = record.unknown == "reject"

        def check(value: Any, path: str, found: _Found) -> None:
            if type(value) is not dict:
                fail("wrong_type", value, path, found)
                return
            for name, step, inner, missing in fields:
                if name in value:
                    inner(value[name], path + step, found)
                elif missing is not None:
                    found.add(Fault(missing.code, path + step, missing.expected, missing.got))
            if (is_closed or found.is_odd) and not declared.issuperset(value):
                others = {key: value[key] for key in value if key not in declared}
                _check_text(others, path, found)
                for key in others if is_closed else ():
                    found.add(Fault("unknown_field", path, "only declared fields", _key(key)[1:-1]))

        self._records[id(record), shown, hidden] = check
        for each in record.fields:
            hides = hidden or each.pii not in (None, "none")
            inner = self.check(each.type, shown=each.pii == "none" and not hidden, hidden=hides)
            missing = None if each.has_default else Fault("missing_field", "", words(each.type), "nothing")
            fields.append((each.name, f".{each.name}", inner, missing))
        return check

    def _union(self, branches: list[Type], fail: _Fail, *, shown: bool, hidden: bool) -> Check:
        if len(branches) == 1:
            return self.check(branches[0], shown=shown, hidden=hidden)
        by_kind: dict[str, Check] = {}
        for branch in branches:
            check = self.check(branch, shown=shown, hidden=hidden)
            # A fault tells of every branch, not of the one that was nearest.
            by_kind |= dict.fromkeys(model.json_kinds(branch), check)

        def union(value: Any, path: str, found: _Found) -> None:
            check = by_kind.get(_KINDS[type(value)])
            if check is None:
                fail("wrong_type", value, path, found)
            else:
                check(value, path, found)

        return union


_Fail = Callable[[str, Any, str, _Found], None]


def _failing(expected: str, *, shown: bool) -> _Fail:
    def fail(code: str, value: Any, path: str, found: _Found) -> None:
        if value is _NAN:
            found.add(_no_number(path))
        elif type(value) is str and _SURROGATE.search(value):
            found.add(_no_unicode(path))
        else:
            found.add(Fault(code, path, expected, _got(value, shown=shown)))

    return fail


def _of_class(class_: type, fail: _Fail) -> Check:
    def check(value: Any, path: str, found: _Found) -> None:
        if type(value) is not class_:
            fail("wrong_type", value, path, found)

    return check


def _integer(low: int, high: int, fail: _Fail) -> Check:
    def check(value: Any, path: str, found: _Found) -> None:
        if type(value) is not int:
            fail("wrong_type", value, path, found)
        elif not low <= value <= high:
            fail("out_of_bounds", value, path, found)

    return check


def _float(low: float | None, high: float | None, fail: _Fail) -> Check:
    least, most = -math.inf if low is None else low, math.inf if high is None else high

    def check(value: Any, path: str, found: _Found) -> None:
        if type(value) is not int and type(value) is not NumberText:
            fail("wrong_type", value, path, found)
            return
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isinf(number) or not least <= number <= most:
            fail("out_of_bounds", value, path, found)

    return check


def _text(low: int, high: int | None, fail: _Fail) -> Check:
    most = math.inf if high is None else high

    def check(value: Any, path: str, found: _Found) -> None:
        if type(value) is not str:
            fail("wrong_type", value, path, found)
        elif not low <= len(value) <= most or (found.is_odd and _SURROGATE.search(value)):
            fail("out_of_bounds", value, path, found)

    return check


def _one_of(allowed: frozenset[str], fail: _Fail) -> Check:
    def check(value: Any, path: str, found: _Found) -> None:
        if type(value) is not str:
            fail("wrong_type", value, path, found)
        elif value not in allowed:
            fail("not_allowed", value, path, found)

    return check


def _converted(type_: Any, classes: tuple[type, ...], fail: _Fail) -> Check:
    """What msgspec reads from text is asked of msgspec, so that there is one opinion on it."""

    def check(value: Any, path: str, found: _Found) -> None:
        if type(value) not in classes:
            fail("wrong_type", value, path, found)
            return
        try:
            msgspec.convert(value, type_, dec_hook=read)
        except msgspec.ValidationError as error:
            fail(from_decode_error(error).code, value, path, found)
        except UnicodeEncodeError:  # half a surrogate pair
            fail("not_json", value, path, found)

    return check


def _array(item: Check, most: int | None, fail: _Fail) -> Check:
    def check(value: Any, path: str, found: _Found) -> None:
        if type(value) is not list:
            fail("wrong_type", value, path, found)
            return
        if most is not None and len(value) > most:
            fail("out_of_bounds", value, path, found)
        for index, inner in enumerate(value):
            item(inner, f"{path}[{index}]", found)

    return check


def _map(entry: Check, most: int | None, fail: _Fail) -> Check:
    def check(value: Any, path: str, found: _Found) -> None:
        if type(value) is not dict:
            fail("wrong_type", value, path, found)
            return
        if most is not None and len(value) > most:
            fail("out_of_bounds", value, path, found)
        for key, inner in value.items():
            at = f"{path}{_key(key)}"
            _check_text(key, at, found)
            entry(inner, at, found)

    return check
