"""SQL that answers something about an event, over its typed view."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.catalog.fields import FieldRow
from schemas.codegen.columns import identifier, zero
from schemas.codegen.views import View, ViewColumn, views
from schemas.registry import Schema

# What every view has, whatever the event.
_COMMON = frozenset(column.name for column in views({1: {"type": "record", "name": "_", "fields": []}}, "_")[0].columns)
_NUMBERS = ("Int", "Float", "Decimal", "Nullable(Int", "Nullable(Float", "Nullable(Decimal")


@dataclass(frozen=True, slots=True)
class Query:
    """`question` is what it answers."""

    question: str
    sql: str


@dataclass(frozen=True, slots=True)
class Warehouse:
    """Where an event's rows are read. `private` is the view with personal data, None where there is none to hide."""

    view: View
    private: View | None
    columns: tuple[ViewColumn, ...]
    queries: tuple[Query, ...]


def warehouse(versions: Sequence[Schema], rows: Sequence[FieldRow]) -> Warehouse:
    """`versions` are all of the event's, `rows` the fields of the newest.

    Raises:
        ConfigError: a schema has a type that JSON has no form for.
    """
    made = views({each.version: each.resolved for each in versions}, versions[0].subject)
    view, private = made[0], made[1] if len(made) > 1 else None
    own = tuple(column for column in view.columns if column.name not in _COMMON)
    # A column that is hidden here is the same for all rows.
    shown = {column.name: column for column in own if column.expression != zero(column.type)}
    dimension, measure = _dimension(shown, rows), _measure(shown, rows)
    return Warehouse(view, private, own, (_by_day(view), *_by_field(view, dimension, measure)))


def _by_day(view: View) -> Query:
    return Query(
        "How many a day, and of how many visitors?",
        f"""SELECT toDate(occurred_at) AS day, count() AS events, uniqExact(visitor_id) AS visitors
FROM {_bare(view.name)}
WHERE tenant = 'demo' AND arrival_day >= today() - 30
GROUP BY day
ORDER BY day""",  # noqa: S608 (quoted)
    )


def _by_field(view: View, dimension: str | None, measure: str | None) -> list[Query]:
    if dimension is None and measure is None:
        return []
    selected = [identifier(dimension)] if dimension else []
    selected.append("count() AS events")
    if measure:
        selected.append(f"round(avg({identifier(measure)}), 2) AS {identifier(f'average_{measure}')}")
    grouped = f"\nGROUP BY {identifier(dimension)}\nORDER BY events DESC\nLIMIT 20" if dimension else ""
    words = [*([f"by `{dimension}`"] if dimension else []), *([f"with the average of `{measure}`"] if measure else [])]
    sql = f"""SELECT {", ".join(selected)}
FROM {_bare(view.name)}
WHERE tenant = 'demo' AND arrival_day >= today() - 30{grouped}"""  # noqa: S608 (quoted)
    return [Query(f"How many {', '.join(words)}?", sql)]


def _dimension(shown: dict[str, ViewColumn], rows: Sequence[FieldRow]) -> str | None:
    """A field with few values: one of a list, else true or false, else any text that is no id."""
    flat = [row for row in rows if row.depth == 0 and row.path in shown and not _is_list(shown[row.path])]
    candidates = (
        *(row for row in flat if row.allowed),
        *(row for row in flat if row.type == "true or false"),
        *(row for row in flat if row.type == "text" and row.pii == "none" and not row.path.endswith("_id")),
        *(row for row in flat if row.type == "integer" and not row.unit),
    )
    return next((row.path for row in candidates), None)


def _measure(shown: dict[str, ViewColumn], rows: Sequence[FieldRow]) -> str | None:
    """A number with a unit: averages of codes and positions say nothing."""
    flat = (row for row in rows if row.depth == 0 and row.path in shown and row.unit)
    return next((row.path for row in flat if shown[row.path].type.startswith(_NUMBERS)), None)


def _bare(name: str) -> str:
    """Without quotes where it reads as a name without them."""
    return name if re.fullmatch("v_[a-z0-9_]+", name) else identifier(name)


def _is_list(column: ViewColumn) -> bool:
    return column.type.startswith(("Array", "Map"))
