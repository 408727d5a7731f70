"""Repair rules: what mends the events that break a contract for a known reason, until their senders do.

A rule is a file, `NAME/VERSION.json` in a folder of rules, and an entry of the control topic once it is in force:

    {"name": "amount-as-text", "version": 1, "event": "order_completed", "doc": "App 4.2 sends amounts as text.",
     "steps": [{"op": "coerce", "path": "properties.total", "to": "number"}]}

Only an event that its contract refuses is ever touched: its payload is changed by the steps and judged once more. If it
keeps the contract then, it goes on as repaired; if not, it is refused for what was wrong with it as it was sent.

A path names keys by dots, from the payload on; `[]` is each element of a list: `properties.items[].price`. A step that
finds nothing there, or cannot do what it says, changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

import msgspec

from core.errors import InputError

KEY_PREFIX = "repair/"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_PATH = re.compile(r"(?:properties|context)(?:\.[A-Za-z0-9_$-]{1,100}(?:\[\])?)+")
_PLAIN_NUMBER = re.compile(r"-?\d{1,30}(?:\.\d{1,30})?")
_LONGEST_NUMBER = 60
_TRUE, _FALSE = frozenset({"true", "1", "yes"}), frozenset({"false", "0", "no"})
# Numbers stay what they were sent as, to the digit: a binary fraction would not.
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_ABSENT = object()

Type = Literal["integer", "number", "string", "boolean"]


class Rename(msgspec.Struct, frozen=True, tag_field="op", tag="rename", forbid_unknown_fields=True):
    """The value of the key at `path` moves to the key `to` beside it, unless that is there."""

    path: str
    to: str


class Coerce(msgspec.Struct, frozen=True, tag_field="op", tag="coerce", forbid_unknown_fields=True):
    """Text that spells a value of the type becomes one, and a number or boolean becomes text."""

    path: str
    to: Type


class Default(msgspec.Struct, frozen=True, tag_field="op", tag="default", forbid_unknown_fields=True):
    """A key that is absent or null gets `value`."""

    path: str
    value: Any


class Drop(msgspec.Struct, frozen=True, tag_field="op", tag="drop", forbid_unknown_fields=True):
    """The key goes."""

    path: str


class Map(msgspec.Struct, frozen=True, tag_field="op", tag="map", forbid_unknown_fields=True):
    """A text that is a key of `values` becomes what stands there."""

    path: str
    values: dict[str, Any]


Step = Rename | Coerce | Default | Drop | Map


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`versions` are the contract versions that events named (0: none) to which it applies; empty: all."""

    name: str
    version: int
    event: str
    steps: tuple[Step, ...]
    doc: str = ""
    versions: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        return f"{self.name}:{self.version}"

    @property
    def key(self) -> str:
        return f"{KEY_PREFIX}{self.name}"


def decode(data: bytes) -> Rule:
    """Raises InputError if `data` is no rule, and says what is wrong with it."""
    try:
        rule = msgspec.json.decode(data, type=Rule)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"not a repair rule: {error}") from error
    if not _NAME.fullmatch(rule.name):
        raise InputError(f"{rule.name!r} cannot name a rule", hint="Small letters, digits and `-`.")
    if rule.version < 1:
        raise InputError(f"rule {rule.name}: its version is {rule.version}, the first is 1")
    if not rule.steps:
        raise InputError(f"rule {rule.label} has no steps")
    for step in rule.steps:
        if not _PATH.fullmatch(step.path):
            raise InputError(
                f"rule {rule.label}: {step.path!r} is no path",
                hint="Such as properties.total, context.device.os or properties.items[].price.",
            )
    return rule


def encode(rule: Rule) -> bytes:
    return msgspec.json.format(msgspec.json.encode(rule), indent=2)


class Repairs:
    """The rules in force; of one name the greatest version counts. Rules of one event are applied in order of name."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        newest: dict[str, Rule] = {}
        for rule in rules:
            if rule.name not in newest or newest[rule.name].version <= rule.version:
                newest[rule.name] = rule
        self.rules = [newest[name] for name in sorted(newest)]
        self._by_event: dict[str, list[Rule]] = {}
        for rule in self.rules:
            self._by_event.setdefault(rule.event, []).append(rule)

    def mended(self, event: str, version: int, payload: bytes) -> tuple[bytes, list[str]] | None:
        """`payload` (JSON of a TrackedEvent) after the rules of `event`, and the labels of those that changed it; None
        if none did. Never raises for what it holds.
        """
        rules = [r for r in self._by_event.get(event, ()) if not r.versions or version in r.versions]
        if not rules:
            return None
        try:
            root = _DECODER.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidOperation):
            return None
        if not isinstance(root, dict):
            return None
        # Of a list, since a generator would stop at the first.
        used = [rule.label for rule in rules if any([_apply(root, step) for step in rule.steps])]  # noqa: C419
        return (_ENCODER.encode(root), used) if used else None


def _apply(root: dict[str, Any], step: Step) -> bool:
    """Whether something changed."""
    keys = step.path.split(".")
    return any([_at(holder, keys[-1], step) for holder in _holders(root, keys[:-1])])  # noqa: C419 (each of them)


def _holders(value: Any, keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Objects that have the last key of a path, or might."""
    if not keys:
        if isinstance(value, dict):
            yield value
        return
    if not isinstance(value, dict):
        return
    name = keys[0].removesuffix("[]")
    inner = value.get(name)
    if keys[0].endswith("[]"):
        for each in inner if isinstance(inner, list) else ():
            yield from _holders(each, keys[1:])
    else:
        yield from _holders(inner, keys[1:])


def _at(holder: dict[str, Any], key: str, step: Step) -> bool:
    if key.endswith("[]"):
        return _each(holder.get(key.removesuffix("[]")), step)
    if isinstance(step, Coerce | Map):
        new = _changed(holder.get(key, _ABSENT), step)
        if new is not _ABSENT:
            holder[key] = new
        return new is not _ABSENT
    if isinstance(step, Drop):
        return holder.pop(key, _ABSENT) is not _ABSENT
    if isinstance(step, Rename):
        fits = key in holder and step.to not in holder
        if fits:
            holder[step.to] = holder.pop(key)
        return fits
    missing = holder.get(key) is None
    if missing:
        holder[key] = step.value
    return missing


def _each(values: Any, step: Step) -> bool:
    """The elements of a list of plain values."""
    if not isinstance(values, list) or not isinstance(step, Coerce | Map):
        return False
    new = [_changed(value, step) for value in values]
    if all(value is _ABSENT for value in new):
        return False
    values[:] = [old if value is _ABSENT else value for old, value in zip(values, new, strict=True)]
    return True


def _changed(value: Any, step: Coerce | Map) -> Any:
    """What becomes of a value; _ABSENT if nothing does."""
    if value is _ABSENT:
        return _ABSENT
    if isinstance(step, Map):
        return step.values.get(value, _ABSENT) if isinstance(value, str) else _ABSENT
    return _COERCE[step.to](value)


def _integer(value: Any) -> Any:
    number = _number(value) if isinstance(value, str) else value
    if (
        isinstance(number, Decimal)
        and number == number.to_integral_value()
        and abs(number.adjusted()) < _LONGEST_NUMBER
    ):
        return int(number)
    return number if isinstance(value, str) and isinstance(number, int) else _ABSENT


def _number(value: Any) -> Any:
    if not isinstance(value, str) or not _PLAIN_NUMBER.fullmatch(value.strip()):
        return _ABSENT
    number = Decimal(value.strip())
    return int(number) if "." not in value else number


def _string(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | Decimal) else _ABSENT


def _boolean(value: Any) -> Any:
    if isinstance(value, bool):
        return _ABSENT
    word = str(value).strip().lower() if isinstance(value, str | int) else ""
    return True if word in _TRUE else False if word in _FALSE else _ABSENT


_COERCE: dict[Type, Callable[[Any], Any]] = {
    "integer": _integer,
    "number": _number,
    "string": _string,
    "boolean": _boolean,
}
