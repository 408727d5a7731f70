"""Tracking keys for tests: any key is one. Which tenant it speaks for is a setting."""

from __future__ import annotations

from collector.keys import Grant


class AnyKey:
    """Every secret gives the same tenant; an event without any key is still refused."""

    def __init__(self, *, tenant: str) -> None:
        self._grant = Grant(tenant, "any")

    def find(self, secret: str) -> Grant | None:
        return self._grant if secret else None
