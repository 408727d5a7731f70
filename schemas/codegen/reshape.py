"""Properties of an older version → the shape of a newer one: Avro's schema resolution, in terms of JSON.

Fields follow aliases to their new names, fields that are gone are dropped, new ones get their default, symbols that are
gone become the enum's default. What neither version declares stays as it was sent. Whether the values keep the newer
version's bounds is not decided here.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from core.errors import ConfigError
from schemas.codegen import model
from schemas.codegen.defaults import json_default
from schemas.codegen.model import Record, Type
from schemas.codegen.parse import parse

Reshape = Callable[[bytes], bytes]

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_KIND_BY_FIRST_BYTE = {
    **dict.fromkeys(b"-0123456789", "number"),
    ord("n"): "null",
    ord("t"): "boolean",
    ord("f"): "boolean",
    ord('"'): "string",
    ord("["): "array",
    ord("{"): "object",
}


def compile_reshape(old: dict[str, Any], new: dict[str, Any]) -> Reshape:
    """A function from the JSON of an event that keeps the contract `old` to JSON of the shape of `new`.

    Both schemas are self-contained. Where nothing changes, it returns what it is given.

    Raises:
        ConfigError: `new` cannot read what `old` wrote; names the path of the field in `new`.
    """
    planner = _Planner()
    plan = planner.plan(parse(old), parse(new), "$")
    planner.finish()
    return _Compiler().function(plan) or same


def same(data: bytes) -> bytes:
    return data


# -- what is to be done


@dataclass(eq=False, slots=True)
class _Same:
    pass


@dataclass(eq=False, slots=True)
class _Replace:
    """`function` gives the new value for the old."""

    function: Reshape


@dataclass(eq=False, slots=True)
class _Each:
    """The items of an array, or the values of a map."""

    inner: _Plan
    is_map: bool


@dataclass(eq=False, slots=True)
class _ByKind:
    """Branches of a union, by the kind of JSON value that each is."""

    plans: dict[str, _Plan]


@dataclass(eq=False, slots=True)
class _Fields:
    """`moves` has the new name of every field of the old record, None if it is dropped. `missing` has the value of
    fields that may be absent from the old one. `added` are names that the old record does not declare: a property of
    that name was judged by no contract, and gives way.
    """

    moves: dict[str, tuple[str | None, _Plan]] = field(default_factory=dict)
    missing: dict[str, msgspec.Raw] = field(default_factory=dict)
    added: set[str] = field(default_factory=set)


_Plan = _Same | _Replace | _Each | _ByKind | _Fields


class _Planner:
    def __init__(self) -> None:
        self._records: dict[tuple[int, int], _Fields] = {}
        self._optional: list[tuple[_Fields, model.Field, model.Field, _Plan, str]] = []

    def finish(self) -> None:
        """Fields that may be absent from older events: what their defaults become takes whole plans."""
        for each in self._optional:
            _fill_absent(*each)

    def plan(self, old: Type, new: Type, path: str) -> _Plan:  # noqa: PLR0911 (one return a pair of types)
        match old, new:
            case model.Union(branches=branches), _:
                plans = [(branch, self.plan(branch, new, path)) for branch in branches]
                return _ByKind({kind: plan for branch, plan in plans for kind in model.json_kinds(branch)})
            case _, model.Union(branches=branches):
                return self._first(old, branches, path)
            case Record(), Record():
                return self._fields(old, new, path)
            case model.Array(items=before), model.Array(items=after):
                return _Each(self.plan(before, after, f"{path}[]"), is_map=False)
            case model.Map(values=before), model.Map(values=after):
                return _Each(self.plan(before, after, f"{path}[]"), is_map=True)
            case model.Enum(), model.Enum():
                return _symbols(old, new, path)
            case model.Text(), model.Bytes():  # Avro's promotion: the text's UTF-8 bytes
                return _Replace(_in_base64)
        if _is_same(old, new):
            return _Same()
        raise ConfigError(f"{path}: a value of the older version cannot become one of this type")

    def _first(self, old: Type, branches: list[Type], path: str) -> _Plan:
        for exact in (True, False):  # a branch of the same type is preferred to a promotion
            for branch in branches:
                if exact and type(branch) is not type(old):
                    continue
                try:
                    return self.plan(old, branch, path)
                except ConfigError:
                    continue
        raise ConfigError(f"{path}: no branch of the union takes a value of the older version")

    def _fields(self, old: Record, new: Record, path: str) -> _Fields:
        key = (id(old), id(new))
        if key in self._records:
            return self._records[key]
        plan = self._records[key] = _Fields()
        before = {each.name: each for each in old.fields}
        for each in new.fields:
            at = f"{path}.{each.name}"
            source = _source(each, before, plan.moves)
            if source is not None:
                inner = self.plan(source.type, each.type, at)
                plan.moves[source.name] = (each.name, inner)
                if source.has_default:
                    self._optional.append((plan, source, each, inner, at))
            elif not each.has_default:
                raise ConfigError(f"{at}: the older version has no such field, and there is no default")
            elif each.default is not None:
                plan.missing[each.name] = _raw(json_default(each.type, each.default, at))
        plan.added.update(each.name for each in new.fields if each.name not in before)
        for name in before.keys() - plan.moves.keys():
            plan.moves[name] = (None, _Same())
        return plan


def _source(new: model.Field, before: dict[str, model.Field], taken: dict[str, Any]) -> model.Field | None:
    """The older field that `new` continues: that of its name, else that of its first alias that is there."""
    for name in (new.name, *new.aliases):
        if name in before and name not in taken:
            return before[name]
    return None


def _fill_absent(plan: _Fields, old: model.Field, new: model.Field, inner: _Plan, path: str) -> None:
    """An absent field stood for the older default; it must not come to stand for another."""
    raw = _raw(json_default(old.type, old.default, path))
    value = msgspec.Raw((_Compiler().function(inner) or same)(bytes(raw)))
    if not new.has_default or bytes(value) != bytes(_raw(json_default(new.type, new.default, path))):
        plan.missing[new.name] = value


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _symbols(old: model.Enum, new: model.Enum, path: str) -> _Plan:
    gone = [symbol for symbol in old.symbols if symbol not in new.symbols]
    if not gone:
        return _Same()
    if new.default is None:
        raise ConfigError(f"{path}: the symbol {gone[0]} is gone, and the enum has no default")
    known, default = frozenset(msgspec.json.encode(symbol) for symbol in new.symbols), msgspec.json.encode(new.default)
    # By the text's value: a client may have escaped it.
    return _Replace(lambda data: data if msgspec.json.encode(msgspec.json.decode(data)) in known else default)


def _in_base64(data: bytes) -> bytes:
    text: str = msgspec.json.decode(data, type=str)
    return b'"' + base64.b64encode(text.encode()) + b'"'


def _is_same(old: Type, new: Type) -> bool:  # noqa: C901, PLR0911 (one return a type)
    """Whether the JSON of a scalar may stay as it is."""
    match old, new:
        case model.Integer(is_long=before), model.Integer(is_long=after):
            return after or not before
        case model.Integer(), model.Float():
            return True
        case model.Integer(), model.Timestamp():
            return True
        case model.Integer(is_long=is_long), model.Date():
            return not is_long
        case model.Float(is_double=before), model.Float(is_double=after):
            return after or not before
        case model.Timestamp(per_second=before), model.Timestamp(per_second=after):
            return before == after
        case model.Uuid(is_fixed=before), model.Uuid(is_fixed=after):
            return before == after
        case model.Uuid(is_fixed=False), model.Text():
            return True
        case model.Fixed(size=before), model.Fixed(size=after):
            return before == after
        case model.Decimal(), model.Decimal():
            return old.size == new.size and old.scale == new.scale and old.precision <= new.precision
    return type(old) is type(new)


# -- doing it


class _Compiler:
    def __init__(self) -> None:
        self._records: dict[int, Reshape] = {}

    def function(self, plan: _Plan) -> Reshape | None:
        """None where nothing changes, at any depth."""
        if not any(_changes(each) for each in _walk(plan)):
            return None
        match plan:
            case _Replace(function=function):
                return function
            case _Each(inner=inner, is_map=is_map):
                return _each(self.function(inner) or same, is_map=is_map)
            case _ByKind(plans=plans):
                return _by_kind({kind: self.function(each) for kind, each in plans.items()})
            case _Fields():
                return self._fields(plan)
        return None

    def _fields(self, plan: _Fields) -> Reshape:
        if id(plan) in self._records:
            return self._records[id(plan)]
        moves: dict[str, tuple[str | None, Reshape | None]] = {}
        missing, added = plan.missing, plan.added

        def reshape(data: bytes) -> bytes:
            out: dict[str, msgspec.Raw] = {}
            for name, value in _OBJECT.decode(data).items():
                move = moves.get(name)
                if move is None:
                    if name not in added:
                        out[name] = value
                elif move[0] is not None:
                    out[move[0]] = value if move[1] is None else msgspec.Raw(move[1](bytes(value)))
            for name, value in missing.items():
                out.setdefault(name, value)
            return msgspec.json.encode(out)

        self._records[id(plan)] = reshape
        for name, (new_name, inner) in plan.moves.items():
            moves[name] = (new_name, self.function(inner))
        return reshape


def _changes(plan: _Plan) -> bool:
    """Whether the plan itself changes anything, apart from what is inside it."""
    match plan:
        case _Replace():
            return True
        case _Fields(moves=moves, missing=missing, added=added):
            return bool(missing or added) or any(name != new for name, (new, _) in moves.items())
    return False


def _walk(root: _Plan) -> Iterator[_Plan]:
    seen: set[int] = set()
    todo = [root]
    while todo:
        plan = todo.pop()
        if id(plan) in seen:
            continue
        seen.add(id(plan))
        yield plan
        match plan:
            case _Each(inner=inner):
                todo.append(inner)
            case _ByKind(plans=plans):
                todo += plans.values()
            case _Fields(moves=moves):
                todo += [inner for _, inner in moves.values()]


def _each(function: Reshape, *, is_map: bool) -> Reshape:
    if is_map:
        return lambda data: msgspec.json.encode(
            {key: msgspec.Raw(function(bytes(value))) for key, value in _OBJECT.decode(data).items()}
        )
    return lambda data: msgspec.json.encode([msgspec.Raw(function(bytes(value))) for value in _ARRAY.decode(data)])


def _by_kind(functions: dict[str, Reshape | None]) -> Reshape:
    def reshape(data: bytes) -> bytes:
        function = functions.get(_KIND_BY_FIRST_BYTE[data[0]])
        return data if function is None else function(data)

    return reshape
