"""What changed between two versions of a schema, in sentences, and which of it breaks readers or clients.

A change is breaking if it violates the new version's compatibility mode against the old one, or an error rule of the
lint. The rest is compatible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from schemas.compatibility import Violation, check
from schemas.compatibility.modes import DEFAULT_MODE
from schemas.compatibility.pairing import BOUNDS, FieldPair, Pair, TypePair, pairs, partners
from schemas.compatibility.resolution import Rule, at
from schemas.compatibility.types import (
    Array,
    Enum,
    Field,
    Fixed,
    Map,
    Named,
    Record,
    Type,
    branches,
    is_null,
    parse_record,
)
from schemas.compatibility.words import describe
from schemas.lint.changes import LIMITS, broken, limit, listed, narrowed, words
from schemas.lint.rules import RULES

Group = Literal["fields", "types", "bounds", "meaning", "privacy", "schema"]
GROUPS: tuple[Group, ...] = get_args(Group)
# Attributes of the record itself that are compared as they are.
_RECORD_ATTRIBUTES = (
    *("kind", "doc", "owner", "fires", "purpose", "metrics", "examples", "compatibility", "references"),
    *("status", "since", "deprecatedBy", "sunset", "supersededBy", "maxDepth", "maxBytes"),
)


@dataclass(frozen=True, slots=True)
class Change:
    """`sentence` names the field; `reasons` say what the change breaks, and are empty if it is compatible."""

    group: Group
    path: str
    sentence: str
    reasons: tuple[str, ...] = ()

    @property
    def is_breaking(self) -> bool:
        return bool(self.reasons)


def diff(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """All changes from `old` to `new`, self-contained JSON of two records, group by group.

    Raises:
        SchemaError: one of them is no Avro record.
    """
    before, after = parse_record(old), parse_record(new)
    judge = _Judge(check(new.get("compatibility", DEFAULT_MODE), new, [(0, old)]))
    found = [*_attributes(before, after)]
    for pair in pairs(before, after):
        found += _of_field(pair, judge) if isinstance(pair, FieldPair) else _of_type(pair, judge)
    found += judge.not_blamed()
    return sorted(dict.fromkeys(found), key=lambda change: GROUPS.index(change.group))


class _Judge:
    """Which violations and broken lint rules a change is to blame for."""

    def __init__(self, violations: list[Violation]) -> None:
        self._violations = violations
        self._left = violations

    def resolution(self, pair: Pair, blamed: Callable[[Violation], bool]) -> tuple[str, ...]:
        """Reasons at the pair's place; a violation names the field as its reader does."""
        paths = {"BACKWARD": pair.path, "FORWARD": pair.old_path}
        mine = [v for v in self._violations if v.incompatibility.path == paths[v.direction] and blamed(v)]
        self._left = [violation for violation in self._left if violation not in mine]
        return tuple(map(_reason, mine))

    def not_blamed(self) -> Iterator[Change]:
        """What no sentence above is to blame for, e.g. the second use of a type that changed: nothing goes untold."""
        for path in dict.fromkeys(violation.incompatibility.path for violation in self._left):
            mine = [violation for violation in self._left if violation.incompatibility.path == path]
            yield Change("types", path, f"{at(path)} is not compatible any more", tuple(map(_reason, mine)))

    def lint(self, pair: Pair, *codes: str) -> tuple[str, ...]:
        rules = [RULES[code] for code, _ in broken(pair) if code in codes]
        return tuple(rule.why for rule in rules if rule.severity == "error")


def _reason(violation: Violation) -> str:
    who = {"BACKWARD": "new readers of old data", "FORWARD": "old readers of new data"}[violation.direction]
    return f"{who}: {violation.incompatibility.detail}"


def _of_field(pair: FieldPair, judge: _Judge) -> Iterator[Change]:
    name = at(pair.path)
    if pair.old is None and pair.new is not None:
        default = f", default {words(pair.new.source['default'])}" if pair.new.has_default else ", required"
        reasons = judge.resolution(pair, lambda violation: violation.direction == "BACKWARD")
        yield Change("fields", pair.path, f"field {name} added: {describe(pair.new.type)}{default}", reasons)
    elif pair.old is not None and pair.new is None:
        reasons = judge.resolution(pair, lambda violation: violation.direction == "FORWARD")
        yield Change("fields", pair.path, f"field {name} removed", reasons)
    elif pair.old is not None and pair.new is not None:
        yield from _kept_field(pair, pair.old, pair.new, judge)


def _kept_field(pair: FieldPair, old: Field, new: Field, judge: _Judge) -> Iterator[Change]:
    name = at(pair.path)
    if old.name != new.name:
        reasons = judge.resolution(pair, _is_of_name)
        yield Change("fields", pair.path, f"field `{old.name}` is now called {name}", reasons)
    before, after = (words(field.source["default"]) if field.has_default else "none" for field in (old, new))
    if before != after:
        reasons = judge.lint(pair, "became_required")
        yield Change("fields", pair.path, f"{name}: default {after}, was {before}", reasons)
    yield from _union(pair, old.type, new.type, judge)
    for group, attribute, codes in _FIELD_ATTRIBUTES:
        if attribute == "aliases" and old.name != new.name:
            continue  # told with the name
        was, is_ = old.source.get(attribute), new.source.get(attribute)
        if was != is_:
            reasons = judge.resolution(pair, _is_of_name) if attribute == "aliases" else judge.lint(pair, *codes)
            yield Change(group, pair.path, f"{name}: {_becomes(attribute, was, is_)}", reasons)


_FIELD_ATTRIBUTES: tuple[tuple[Group, str, tuple[str, ...]], ...] = (
    ("fields", "aliases", ()),
    ("meaning", "doc", ()),
    ("meaning", "unit", ("unit_changed",)),
    ("meaning", "examples", ()),
    ("privacy", "pii", ("pii_lowered",)),
)


def _union(pair: Pair, old: Type, new: Type, judge: _Judge) -> Iterator[Change]:
    """Null and other branches that came or went."""
    name = at(pair.path)
    was, is_ = (any(map(is_null, branches(type_))) for type_ in (old, new))
    if was != is_:
        reasons = judge.resolution(pair, lambda violation: violation.incompatibility.writer == "null")
        yield Change("types", pair.path, f"{name} may {'now' if is_ else 'no longer'} be null", reasons)
    kept = partners(old, new)
    for branch in _left_over(old, {id(before) for before, _ in kept}):
        sentence = f"{name} may no longer be {describe(branch)}"
        yield Change("types", pair.path, sentence, judge.resolution(pair, _writes("BACKWARD", branch)))
    for branch in _left_over(new, {id(after) for _, after in kept}):
        sentence = f"{name} may now be {describe(branch)}"
        yield Change("types", pair.path, sentence, judge.resolution(pair, _writes("FORWARD", branch)))


def _left_over(type_: Type, kept: set[int]) -> Iterator[Type]:
    return (branch for branch in branches(type_) if id(branch) not in kept and not is_null(branch))


def _of_type(pair: TypePair, judge: _Judge) -> Iterator[Change]:
    old, new = pair.old, pair.new
    name = at(pair.path)
    if isinstance(old, Enum) and isinstance(new, Enum):
        yield from _enum(pair, old, new, judge)
    elif _is_other(old, new):
        blamed = _is_about(pair, "type_mismatch", "fixed_size_mismatch", "missing_union_branch")
        reasons = judge.resolution(pair, blamed) + judge.lint(pair, *_TYPE_CODES)
        before, after = (str(old), str(new)) if describe(old) == describe(new) else (describe(old), describe(new))
        yield Change("types", pair.path, f"{name}: {after}, was {before}", reasons)
    if isinstance(old, Named) and isinstance(new, Named) and old.full_name != new.full_name:
        reasons = judge.resolution(pair, _is_about(pair, "name_mismatch", "missing_union_branch"))
        reasons += judge.lint(pair, "name_changed", "namespace_changed")
        yield Change("types", pair.path, f"{name}: type {new.full_name}, was {old.full_name}", reasons)
    if isinstance(old, Array) and isinstance(new, Array):
        yield from _union(_inside(pair, "[]"), old.items, new.items, judge)
    elif isinstance(old, Map) and isinstance(new, Map):
        yield from _union(_inside(pair, "{}"), old.values, new.values, judge)
    elif isinstance(old, Record) and isinstance(new, Record):
        was, is_ = (record.source.get("unknown", "keep") for record in (old, new))
        if was != is_:
            sentence = f"{name}: {_becomes('unknown', was, is_)}"
            yield Change("schema", pair.path, sentence, judge.lint(pair, "unknown_tightened"))
    yield from _bounds(pair)


_TYPE_CODES = ("logical_type_changed", "timestamp_unit_changed", "decimal_changed", "json_form_changed")


def _is_other(old: Type, new: Type) -> bool:
    """Of another kind itself; names, and what arrays, maps and records hold, have their own sentences."""
    match old, new:
        case Fixed(), Fixed():
            logical = ("logicalType", "precision", "scale")
            return old.size != new.size or any(old.source.get(name) != new.source.get(name) for name in logical)
        case (Array(), Array()) | (Map(), Map()) | (Record(), Record()):
            return False
    return str(old) != str(new)


def _is_about(pair: TypePair, *rules: Rule) -> Callable[[Violation], bool]:
    forms = {str(pair.old), str(pair.new)}
    return lambda violation: violation.incompatibility.rule in rules and violation.incompatibility.writer in forms


def _enum(pair: TypePair, old: Enum, new: Enum, judge: _Judge) -> Iterator[Change]:
    added = [symbol for symbol in new.symbols if symbol not in old.symbols]
    removed = [symbol for symbol in old.symbols if symbol not in new.symbols]
    if added:
        reasons = judge.resolution(pair, lambda violation: _misses_symbols(violation, "FORWARD"))
        yield Change("types", pair.path, f"enum {at(pair.path)}: {_symbols(added)} added", reasons)
    if removed:
        reasons = judge.resolution(pair, lambda violation: _misses_symbols(violation, "BACKWARD"))
        reasons += judge.lint(pair, "enum_symbol_removed")
        yield Change("types", pair.path, f"enum {at(pair.path)}: {_symbols(removed)} removed", reasons)
    was, is_ = old.source.get("default"), new.source.get("default")
    if was != is_:
        yield Change("types", pair.path, f"enum {at(pair.path)}: {_becomes('default symbol', was, is_)}")


def _bounds(pair: TypePair) -> Iterator[Change]:
    for name in BOUNDS:
        was, is_ = pair.old_bounds.get(name), pair.new_bounds.get(name)
        if was != is_:
            one = {name: was} if was is not None else {}
            other = {name: is_} if is_ is not None else {}
            reasons = tuple(RULES["bounds_narrowed"].why for _ in narrowed(one, other))
            yield Change("bounds", pair.path, f"{at(pair.path)}: {_becomes(name, was, is_)}", reasons)


def _attributes(old: Record, new: Record) -> Iterator[Change]:
    for name in _RECORD_ATTRIBUTES:
        was, is_ = old.source.get(name), new.source.get(name)
        if was != is_:
            is_narrowed = name in LIMITS and limit(new, name) < limit(old, name)
            group: Group = "bounds" if name in LIMITS else "meaning" if name == "doc" else "schema"
            reasons = (RULES["bounds_narrowed"].why,) if is_narrowed else ()
            yield Change(group, "$", _becomes(name, was, is_), reasons)


def _becomes(name: str, was: Any, is_: Any) -> str:
    if is_ is None:
        return f"{name} removed, was {_short(was)}"
    return f"{name} {_short(is_)}{'' if was is None else f', was {_short(was)}'}"


def _short(value: Any) -> str:
    return value if isinstance(value, str) else words(value)


def _symbols(symbols: list[str]) -> str:
    return f"symbol{'' if len(symbols) == 1 else 's'} {listed(symbols)}"


def _inside(pair: TypePair, step: str) -> FieldPair:
    return FieldPair(f"{pair.path}{step}", f"{pair.old_path}{step}", None, None)


def _is_of_name(violation: Violation) -> bool:
    return violation.incompatibility.rule in ("reader_field_missing_default_value", "ambiguous_alias")


def _misses_symbols(violation: Violation, direction: str) -> bool:
    return violation.direction == direction and violation.incompatibility.rule == "missing_enum_symbols"


def _writes(direction: str, branch: Type) -> Callable[[Violation], bool]:
    return lambda violation: violation.direction == direction and violation.incompatibility.writer == str(branch)
