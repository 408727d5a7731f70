"""Keys in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

from cli.schemas.output import table
from cli.tail.safe_text import shown

_STYLES = {"active": "green", "replaced": "yellow", "expired": "red", "revoked": "red"}
_ROWS = (
    *(("Tenant", "tenant"), ("Kind", "kind"), ("Mode", "mode"), ("Name", "name"), ("Origins", "origins")),
    *(("Requests a minute", "requests_per_minute"), ("Made", "created_at"), ("Made by", "created_by")),
    *(("Replaces", "replaces"), ("Ends", "ends_at"), ("Revoked", "revoked_at"), ("Revoked by", "revoked_by")),
    *(("Reason", "revoked_reason"), ("Last used", "last_used_at")),
)


def listing(keys: list[dict[str, Any]]) -> Table:
    found = table("Id", "Tenant", "Kind", "Status", "Name", "Made", "Ends", "Last used")
    for key in keys:
        ends = key["revoked_at"] or key["ends_at"]
        found.add_row(
            key["id"],
            shown(key["tenant"]),
            f"{key['kind']} ({key['mode']})",
            Text(key["status"], style=_STYLES.get(key["status"], "")),
            shown(key["name"]),
            *(_minute(time) for time in (key["created_at"], ends, key["last_used_at"])),
        )
    return found


def lines(key: dict[str, Any]) -> Iterator[str]:
    yield f"{key['id']}  {key['status']}"
    for title, name in _ROWS:
        value = key[name]
        if value not in (None, "", []):
            text = ", ".join(value) if isinstance(value, list) else str(value)
            yield f"  {title:17}  {shown(text)}"


def _minute(time: str | None) -> str:
    return time[:16].replace("T", " ") if time else ""
