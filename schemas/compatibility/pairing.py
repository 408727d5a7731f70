"""What became of each part of an old schema in a new one: fields and types side by side, for lint and diff.

Fields belong together by name or by an alias of the new one, branches of unions by what they are. Unlike resolution
this also pairs what cannot be read, so that a change can be told in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from schemas.compatibility.resolution import PROMOTIONS, lookup, same_name
from schemas.compatibility.types import Array, Field, Map, Named, Primitive, Record, Type, branches, is_null

# Attributes of a field that hold for the scalar inside it.
BOUNDS = ("minimum", "maximum", "minLength", "maxLength", "maxItems", "allowed")


@dataclass(frozen=True, slots=True)
class FieldPair:
    """A field before and after; None where there is none. `old_path` differs below a renamed field."""

    path: str
    old_path: str
    old: Field | None
    new: Field | None


@dataclass(frozen=True, slots=True)
class TypePair:
    """A type before and after, neither a union. The bounds are the type's own and those of the field around it."""

    path: str
    old_path: str
    old: Type
    new: Type
    old_bounds: dict[str, Any]
    new_bounds: dict[str, Any]


Pair: TypeAlias = FieldPair | TypePair


def pairs(old: Record, new: Record) -> Iterator[Pair]:
    """Top down; fields in the order of the new schema, removed ones after them. Each pair of records once."""
    return _Pairing().types(_Side("$", old, {}), _Side("$", new, {}))


def everything_in(record: Record) -> Iterator[Pair]:
    """`pairs` of a schema with itself: all its fields and types."""
    return pairs(record, record)


def bounds_of(source: dict[str, Any]) -> dict[str, Any]:
    return {name: source[name] for name in BOUNDS if name in source}


def are_promotable(one: Type, other: Type) -> bool:
    """Whether one of two primitive types can be read as the other."""
    if not (isinstance(one, Primitive) and isinstance(other, Primitive)):
        return False
    return one.name in PROMOTIONS.get(other.name, ()) or other.name in PROMOTIONS.get(one.name, ())


@dataclass(frozen=True, slots=True)
class _Side:
    """A type, where it stands, and the bounds that the field around it gives."""

    path: str
    type: Type
    bounds: dict[str, Any]


class _Pairing:
    def __init__(self) -> None:
        self._seen: set[tuple[Record, Record]] = set()

    def types(self, old: _Side, new: _Side) -> Iterator[Pair]:
        for one, other in partners(old.type, new.type):
            bounds = old.bounds | bounds_of(one.source), new.bounds | bounds_of(other.source)
            yield TypePair(new.path, old.path, one, other, *bounds)
            match one, other:
                case Array(), Array():
                    yield from self.types(
                        _Side(f"{old.path}[]", one.items, {}), _Side(f"{new.path}[]", other.items, {})
                    )
                case Map(), Map():
                    sides = _Side(f"{old.path}{{}}", one.values, {}), _Side(f"{new.path}{{}}", other.values, {})
                    yield from self.types(*sides)
                case Record(), Record() if (one, other) not in self._seen:
                    self._seen.add((one, other))
                    yield from self._fields(one, other, old.path, new.path)

    def _fields(self, old: Record, new: Record, old_path: str, new_path: str) -> Iterator[Pair]:
        kept = set()
        for field in new.fields:
            found = lookup(field, new, old)
            after = _side(field, new_path)
            if found is None:
                yield FieldPair(after.path, after.path, None, field)
                continue
            kept.add(found.name)
            before = _side(found, old_path)
            yield FieldPair(after.path, before.path, found, field)
            yield from self.types(before, after)
        for gone in old.fields:
            if gone.name not in kept:
                yield FieldPair(f"{new_path}.{gone.name}", f"{old_path}.{gone.name}", gone, None)


def _side(field: Field, path: str) -> _Side:
    return _Side(f"{path}.{field.name}", field.type, bounds_of(field.source))


def partners(old: Type, new: Type) -> list[tuple[Type, Type]]:
    """Branches that belong together, null left out. A lone branch on both sides does, whatever it is."""
    olds, news = ([branch for branch in branches(type_) if not is_null(branch)] for type_ in (old, new))
    if len(olds) == len(news) == 1:
        return [(olds[0], news[0])]
    found = []
    for branch in news:
        partner = next((each for each in olds if _is_same(each, branch)), None)
        partner = partner or next((each for each in olds if _is_like(each, branch)), None)
        if partner is not None:
            olds.remove(partner)
            found.append((partner, branch))
    return found


def _is_same(old: Type, new: Type) -> bool:
    if isinstance(old, Primitive) and isinstance(new, Primitive):
        return old.name == new.name
    if isinstance(old, Named) and isinstance(new, Named) and type(old) is type(new):
        return same_name(new, old)
    return type(old) is type(new)


def _is_like(old: Type, new: Type) -> bool:
    return _is_same(old, new) or are_promotable(old, new)
