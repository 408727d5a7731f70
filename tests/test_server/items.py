"""Items for tests."""

from __future__ import annotations

from typing import Any

from cli.test_server.item import Item, Outcome


def item(outcome: Outcome = "curated", *, tenant: str = "demo", contract: str = "page_view:1", **event: Any) -> Item:
    fields = {"event_type": "page_view", "event_id": "e-1", "visitor_id": "v-1"} | event
    code, message = ("wrong_type", "expected int, got str") if outcome == "dead_letter" else ("", "")
    return Item(outcome, "2026-01-01T00:00:00.000Z", tenant, contract, fields, "{}", code, "", message)
