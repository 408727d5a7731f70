"""Rules against the earlier versions.

A part is compared with the newest earlier version that has it: what was accepted once is not held against every later
version, and a field that comes back is compared with what it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import Any

from schemas.codegen.compiled import DEFAULT_MAX_BYTES, DEFAULT_MAX_DEPTH
from schemas.compatibility.pairing import Pair, TypePair, are_promotable, pairs
from schemas.compatibility.resolution import at
from schemas.compatibility.types import Enum, Field, Named, Primitive, Record
from schemas.lint.rules import PII_CLASSES, Code, Finding, finding

# A rule that is broken, and how, in words that follow the field's name.
Broken = tuple[Code, str]
LIMITS = {"maxBytes": DEFAULT_MAX_BYTES, "maxDepth": DEFAULT_MAX_DEPTH}
_LOWER_BOUNDS = ("minimum", "minLength")
_UPPER_BOUNDS = ("maximum", "maxLength", "maxItems")
_TIMESTAMP = re.compile(r"^((?:local-)?timestamp)-(millis|micros|nanos)$")


def changed(record: Record, earlier: Sequence[tuple[int, Record]]) -> Iterator[Finding]:
    """Findings about `record` as the successor of `earlier`, (version, record), oldest first."""
    compared: set[tuple[type[Pair], str]] = set()
    for version, old in reversed(earlier):
        by_newer = frozenset(compared)
        for pair in pairs(old, record):
            if (type(pair), pair.path) in by_newer or (by_newer and not _is_in_both(pair)):
                continue
            if _is_in_both(pair):
                compared.add((type(pair), pair.path))
            for code, what in broken(pair):
                yield finding(code, pair.path, f"{at(pair.path)} {what} (version {version})")


def broken(pair: Pair) -> Iterator[Broken]:
    """The rules that one change breaks."""
    if isinstance(pair, TypePair):
        for rule in _TYPE_RULES:
            yield from rule(pair)
    elif pair.new is None:
        yield "field_removed", "is gone"
    elif pair.old is not None:
        for check in _FIELD_RULES:
            yield from check(pair.old, pair.new)


def _is_in_both(pair: Pair) -> bool:
    return isinstance(pair, TypePair) or None not in (pair.old, pair.new)


def _renamed(old: Field, new: Field) -> Iterator[Broken]:
    if old.name != new.name:
        yield "field_renamed", f"was called `{old.name}`"


def _unit(old: Field, new: Field) -> Iterator[Broken]:
    before, after = old.source.get("unit"), new.source.get("unit")
    if before != after:
        yield "unit_changed", f"was in {before or 'no unit'}, is now in {after or 'no unit'}"


def _meaning(old: Field, new: Field) -> Iterator[Broken]:
    before, after = old.source.get("doc", ""), new.source.get("doc", "")
    # Another comma or capital says nothing else.
    if before and after and _words(before) != _words(after):
        yield "meaning_changed", f"was described as: {before}"


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _pii(old: Field, new: Field) -> Iterator[Broken]:
    before, after = old.source.get("pii"), new.source.get("pii")
    if before not in PII_CLASSES or before == after:
        return
    if after is None and before != "none":
        yield "pii_lowered", f"was {before}, its `pii` class is gone"
    elif after in PII_CLASSES and PII_CLASSES.index(after) < PII_CLASSES.index(before):
        yield "pii_lowered", f"was {before}, is now {after}"


def _default(old: Field, new: Field) -> Iterator[Broken]:
    if not old.has_default:
        return
    if not new.has_default:
        yield "became_required", f"had the default {words(old.source['default'])}, and has none any more"
    elif words(old.source["default"]) != words(new.source["default"]):
        yield "default_changed", f"had the default {words(old.source['default'])}"


def _logical_type(pair: TypePair) -> Iterator[Broken]:
    before, after = (type_.source.get("logicalType") for type_ in (pair.old, pair.new))
    if before == after:
        return
    one, other = (_TIMESTAMP.match(str(logical)) for logical in (before, after))
    if one and other and one[1] == other[1]:
        yield "timestamp_unit_changed", f"was in {one[2]}, is now in {other[2]}"
    else:
        yield "logical_type_changed", f"was {pair.old}, is now {pair.new}"


def _decimal(pair: TypePair) -> Iterator[Broken]:
    both = pair.old.source, pair.new.source
    if all(source.get("logicalType") == "decimal" for source in both):
        before, after = ((source.get("precision"), source.get("scale", 0)) for source in both)
        if before != after:
            yield "decimal_changed", f"was decimal({before[0]},{before[1]}), is now decimal({after[0]},{after[1]})"


def _names(pair: TypePair) -> Iterator[Broken]:
    old, new = pair.old, pair.new
    if isinstance(old, Named) and isinstance(new, Named):
        if old.name != new.name:
            yield "name_changed", f"was of the type {old.name}, is now {new.name}"
        if old.namespace != new.namespace:
            yield "namespace_changed", f"was in the namespace {old.namespace or '(none)'}, is now in {new.namespace}"


def _symbols(pair: TypePair) -> Iterator[Broken]:
    if isinstance(pair.old, Enum) and isinstance(pair.new, Enum):
        gone = [symbol for symbol in pair.old.symbols if symbol not in pair.new.symbols]
        if gone:
            yield "enum_symbol_removed", f"could be {listed(gone)}, which {pair.new} lacks now"


def _primitive(pair: TypePair) -> Iterator[Broken]:
    if not (isinstance(pair.old, Primitive) and isinstance(pair.new, Primitive) and are_promotable(pair.old, pair.new)):
        return
    text_and_bytes = {pair.old.name, pair.new.name} == {"string", "bytes"}
    yield "json_form_changed" if text_and_bytes else "type_promoted", f"was {pair.old}, is now {pair.new}"


def _bounds(pair: TypePair) -> Iterator[Broken]:
    if isinstance(pair.old, Record) and isinstance(pair.new, Record):
        for name in LIMITS:
            before, after = limit(pair.old, name), limit(pair.new, name)
            if after < before:
                yield (
                    "bounds_narrowed",
                    f"had {f'`{name}` {before}' if before < inf else f'no `{name}`'}, has now {after}",
                )
    for words_ in narrowed(pair.old_bounds, pair.new_bounds):
        yield "bounds_narrowed", words_


def limit(record: Record, name: str) -> float:
    """Of the whole properties object. Records of ours have none unless they say so."""
    found: float = record.source.get(name, inf if record.source.get("kind") == "record" else LIMITS[name])
    return found


def narrowed(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """What the bounds `old` let pass and `new` do not."""
    for name in (*_LOWER_BOUNDS, *_UPPER_BOUNDS):
        before, after = old.get(name), new.get(name)
        is_lower = name in _LOWER_BOUNDS
        if after is not None and (before is None or (after > before if is_lower else after < before)):
            yield f"had {f'`{name}` {before}' if before is not None else f'no `{name}`'}, has now {after}"
    if "allowed" in new:
        gone = [value for value in old.get("allowed", ()) if value not in new["allowed"]]
        if "allowed" not in old:
            yield "could be any text, and has a list of allowed values now"
        elif gone:
            yield f"could be {listed(gone)}, which is not allowed any more"


def _unknown(pair: TypePair) -> Iterator[Broken]:
    if isinstance(pair.old, Record) and isinstance(pair.new, Record):
        before, after = (source.get("unknown", "keep") for source in (pair.old.source, pair.new.source))
        if after == "reject" != before:
            yield "unknown_tightened", f"had `unknown` {before}, rejects undeclared properties now"


def listed(values: Sequence[Any]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def words(default: Any) -> str:
    """A default as JSON writes it."""
    return json.dumps(default, ensure_ascii=False)


_FIELD_RULES: tuple[Callable[[Field, Field], Iterator[Broken]], ...] = (_renamed, _unit, _meaning, _pii, _default)
_TYPE_RULES: tuple[Callable[[TypePair], Iterator[Broken]], ...] = (
    _names,
    _logical_type,
    _decimal,
    _primitive,
    _symbols,
    _bounds,
    _unknown,
)
