"""Query parameters to a filter on items. A parameter that is not known is an error: one that is ignored would let
everything through.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cli.test_server.item import Item
from core.errors import UsageError

_FIELDS = ("name", "visitor_id", "event_id", "session_id")
PARAMETERS = ("event", "tenant", *_FIELDS, "limit")


@dataclass(frozen=True, slots=True)
class Selection:
    """`event` is a contract or an event type; `limit` keeps the latest."""

    event: str | None
    tenant: str | None
    fields: dict[str, str]
    limit: int | None

    def of(self, items: Iterable[Item]) -> list[Item]:
        found = [item for item in items if self._wants(item)]
        return found if self.limit is None else found[len(found) - min(self.limit, len(found)) :]

    def _wants(self, item: Item) -> bool:
        return (
            self.event in {None, item.contract.partition(":")[0], _text(item, "event_type")}
            and self.tenant in {None, item.tenant}
            and all(_text(item, name) == value for name, value in self.fields.items())
        )


def parse(query: Mapping[str, str]) -> Selection:
    """Raises UsageError for an unknown parameter or a limit that is no number."""
    if unknown := sorted(set(query) - set(PARAMETERS)):
        raise UsageError(f"{unknown[0]!r} is no filter; there are {', '.join(PARAMETERS)}")
    limit = query.get("limit")
    if limit is not None and not (limit.isascii() and limit.isdigit()):
        raise UsageError(f"limit must be a whole number, not {limit!r}")
    fields = {name: query[name] for name in _FIELDS if name in query}
    return Selection(query.get("event"), query.get("tenant"), fields, None if limit is None else int(limit))


def _text(item: Item, name: str) -> str | None:
    value = item.event.get(name, "")
    return value if isinstance(value, str) else None
