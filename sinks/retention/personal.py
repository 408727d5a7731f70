"""Which properties hold personal data, by the contracts, and the SQL that takes it out of rows that stay.

What a contract classes as `none` or `pseudonymous` stays. Personal and sensitive properties go, and with them what
nobody classed: undeclared properties, contexts, the known user. Where versions of a contract differ the stricter word
counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.registry import Registry
from sinks.clickhouse import parameter, text

_OPEN = frozenset({"none", "pseudonymous"})
_KEPT = (
    "concat('{{', arrayStringConcat(arrayMap(each -> concat(toJSONString(each.1), ':', each.2), "
    "arrayFilter(each -> has({names}, each.1), JSONExtractKeysAndValuesRaw(properties))), ','), '}}')"
)


def open_properties(registry: Registry) -> dict[str, list[str]]:
    """Of each event that has a property that must go: the names of those that stay, in order."""
    out = {}
    for subject in registry.subjects("event"):
        closed: set[str] = set()
        names: set[str] = set()
        for version in registry.versions(subject):
            for field in registry.get(subject, version).resolved["fields"]:
                names.add(field["name"])
                if not _is_open(field):
                    closed.add(field["name"])
        if closed:
            out[subject] = sorted(names - closed)
    return out


def emptied(keep: Mapping[str, list[str]]) -> dict[str, str]:
    """Columns of `events_log` that are set anew, each with its expression."""
    cases = "".join(
        f"event = {text(subject)}, {_KEPT.format(names=_array(names))}, " for subject, names in keep.items()
    )
    return {
        "user_id": "''",
        "extra": "''",
        "context": "'{}'",
        **({"properties": f"multiIf({cases}properties)"} if cases else {}),
    }


def holds_personal(keep: Mapping[str, list[str]]) -> str:
    """Condition of rows in which there is something to empty."""
    rest = "user_id != '' OR extra != '' OR context NOT IN ('', '{}')"
    closed = [
        f"(event = {text(subject)} AND "
        f"arrayExists(name -> NOT has({_array(names)}, name), JSONExtractKeys(properties)))"
        for subject, names in keep.items()
    ]
    return " OR ".join([rest, *closed])


def _array(names: list[str]) -> str:
    return f"CAST({parameter(names)}, 'Array(String)')"


def _is_open(field: dict[str, Any]) -> bool:
    return field.get("pii") in _OPEN and all(_is_open(each) for each in _inside(field["type"]))


def _inside(type_: Any) -> Iterator[dict[str, Any]]:
    """Fields of records anywhere in a type."""
    if isinstance(type_, list):
        for branch in type_:
            yield from _inside(branch)
    elif isinstance(type_, dict):
        if "fields" in type_:
            yield from type_["fields"]
        for part in ("type", "items", "values"):
            if isinstance(type_.get(part), (dict, list)):
                yield from _inside(type_[part])
