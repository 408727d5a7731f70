"""Which fields a plan changes, in how many rows, with a few of them side by side.

A plan is attached to tickets: a value is shown only where the contract says that it is nothing personal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from core.errors import InputError
from replay.comparing import NOT_COMPARED
from replay.plans import FieldChange, Sample
from replay.scratch import IN_RANGE, Scratch
from schemas.registry import Registry
from sinks.clickhouse import ClickHouse

HIDDEN = "(hidden)"
_SAMPLES = 3
_FIELDS = 40
_LONGEST = 200
_JSON = ("properties", "extra", "context")
_PERSONAL = frozenset(
    {
        "visitor_id",
        "user_id",
        "session_id",
        "event_id",
        "url",
        "referrer",
        "path",
        "click_id",
        "utm_term",
        "utm_content",
    }
)
_PART = 100_000


def field_changes(
    server: ClickHouse, scratch: Scratch, registry: Registry, compared: Sequence[str]
) -> list[FieldChange]:
    """The columns, and the keys of JSON columns, that differ in rows that change; those of most rows first."""
    counts: Counter[str] = Counter(
        dict(
            server.rows(
                f"SELECT field, count() FROM {scratch.changes} ARRAY JOIN fields AS field WHERE change = 'changed' "  # noqa: S608
                "GROUP BY field"
            )
        )
    )
    for column in _JSON:
        if counts.pop(column, 0) and column in compared:
            counts.update({f"{column}.{key}": rows for key, rows in _keys(server, scratch, column).items()})
    return [
        FieldChange(field, rows, _samples(server, scratch, registry, field))
        for field, rows in sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:_FIELDS]
    ]


def _keys(server: ClickHouse, scratch: Scratch, column: str) -> Counter[str]:
    out: Counter[str] = Counter()
    for number, first, last in _parts(server, scratch, column):
        out.update(
            dict(
                server.rows(
                    "SELECT key, count() FROM (SELECT arrayJoin(arrayFilter(k -> was[k] != becomes[k], "  # noqa: S608
                    "arrayDistinct(arrayConcat(mapKeys(was), mapKeys(becomes))))) AS key FROM ("
                    f"SELECT {_map('e', column)} AS was, {_map('c', column)} AS becomes {_pairs(scratch, column)})) "
                    "GROUP BY key",
                    number=number,
                    first=first,
                    last=last,
                )
            )
        )
    return out


def _parts(server: ClickHouse, scratch: Scratch, column: str) -> list[tuple[int, int, int]]:
    """Ranges of changed rows that are compared at once."""
    return [
        (number, first, last)
        for number, _, first, last in server.rows(
            f"SELECT raw_partition, intDiv(raw_offset, {_PART}) AS part, min(raw_offset), max(raw_offset) "  # noqa: S608
            f"FROM {scratch.changes} WHERE change = 'changed' AND has(fields, {{column:String}}) "
            "GROUP BY raw_partition, part ORDER BY raw_partition, part",
            column=column,
        )
    ]


def _samples(server: ClickHouse, scratch: Scratch, registry: Registry, field: str) -> list[Sample]:
    column, _, key = field.partition(".")
    differ = "1"
    was, becomes = f"toString(e.`{column}`)", f"toString(c.`{column}`)"
    if key:
        was, becomes = (f"{_map(of, column)}[{{key:String}}]" for of in ("e", "c"))
        differ = f"{was} != {becomes}"
    for number, first, last in _parts(server, scratch, column):
        rows = server.rows(
            f"SELECT c.raw_partition, c.raw_offset, c.event, {was}, {becomes} {_pairs(scratch, column)} "
            f"AND {differ} ORDER BY c.raw_offset LIMIT 1 BY {was}, {becomes} LIMIT {_SAMPLES}",
            number=number,
            first=first,
            last=last,
            key=key,
        )
        if rows:
            samples = [
                Sample(partition, offset, *(_shown(registry, event, column, key, value) for value in (old, new)))
                for partition, offset, event, old, new in rows
            ]
            # Hidden values all look alike.
            return list({(each.before, each.after): each for each in reversed(samples)}.values())[::-1]
    return []


def _pairs(scratch: Scratch, column: str) -> str:
    """Rows of a range that change in `column`: `e` as it stands, `c` as it would be."""
    changed = (
        f"SELECT raw_offset FROM {scratch.changes} WHERE change = 'changed' AND has(fields, '{column}') "  # noqa: S608
        f"AND {IN_RANGE}"
    )
    return (  # names of tables and columns; values are bound
        f"FROM (SELECT * FROM {scratch.rows} WHERE {IN_RANGE} AND raw_offset IN ({changed})) AS c "  # noqa: S608
        f"INNER JOIN (SELECT * FROM events WHERE {IN_RANGE} AND raw_offset IN ({changed})) AS e "
        "ON c.raw_offset = e.raw_offset WHERE 1"
    )


def _map(of: str, column: str) -> str:
    return f"CAST(JSONExtractKeysAndValuesRaw({of}.`{column}`), 'Map(String, String)')"


def _shown(registry: Registry, event: str, column: str, key: str, value: str) -> str:
    if not value:
        return ""
    if column in _PERSONAL or (key and not _open(registry, event, column, key)):
        return HIDDEN
    return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"


def _open(registry: Registry, event: str, column: str, key: str) -> bool:
    """Whether the newest contract calls the property nothing personal. One that it does not know may be anything."""
    if column != "properties" or event not in registry.subjects("event"):
        return False
    fields = registry.latest(event).source.get("fields", [])
    return any(field["name"] == key and field.get("pii") == "none" for field in fields)


class Row(msgspec.Struct, frozen=True):
    """A row that a plan changes: column → its value as it stands and as it would be."""

    partition: int
    offset: int
    event: str
    event_id: str
    fields: dict[str, tuple[str, str]]


def differing_rows(server: ClickHouse, scratch: Scratch, *, field: str, limit: int) -> list[Row]:
    """Rows that change, with all values. `field` keeps those that differ in that column.

    Raises:
        InputError: the plan's working tables are gone, or no such column can differ.
    """
    columns = [name for name in scratch.columns() if name not in NOT_COMPARED]
    if not columns:
        raise InputError("the working tables of this plan were deleted", hint="Plan again.")
    if field and field not in columns:
        raise InputError(f"{field!r} is no column", hint=f"One of: {', '.join(columns)}.")
    has = "has(fields, {field:String})" if field else "1"
    picked = server.rows(
        f"SELECT raw_partition, raw_offset, fields FROM {scratch.changes} WHERE change = 'changed' AND {has} "  # noqa: S608
        f"ORDER BY arrival_day, raw_partition, raw_offset LIMIT {limit}",
        field=field,
    )
    out = []
    for partition, offset, fields in picked:
        values = ", ".join(f"[toString(e.`{name}`), toString(c.`{name}`)]" for name in fields)
        found = server.rows(
            f"SELECT c.event, c.event_id, [{values}] "  # noqa: S608 (names of columns; values are bound)
            f"FROM (SELECT * FROM {scratch.rows} WHERE {IN_RANGE}) AS c "
            f"INNER JOIN (SELECT * FROM events WHERE {IN_RANGE}) AS e ON c.raw_offset = e.raw_offset",
            number=partition,
            first=offset,
            last=offset,
        )
        for event, event_id, pairs in found:
            both = {name: (old, new) for name, (old, new) in zip(fields, pairs, strict=True)}
            out.append(Row(partition, offset, event, event_id, both))
    return out
