"""Tracking keys for tests: one, or any. Which tenant it speaks for is a setting. None is a secret."""

from __future__ import annotations

import hmac

from collector.keys import Grant, Refusal


class AnyKey:
    """Every secret gives the same tenant; an event without any key is still refused."""

    def __init__(self, *, tenant: str) -> None:
        self._grant = Grant(tenant, "any", browser=True)

    def find(self, text: str, _origin: str = "") -> Grant | Refusal:
        return self._grant if text else Refusal("unknown_key")


class OneKey:
    """The key that the test server shows at its start."""

    def __init__(self, text: str, *, tenant: str) -> None:
        self._text = text.encode()
        self._grant = Grant(tenant, "test", browser=True)

    def find(self, text: str, _origin: str = "") -> Grant | Refusal:
        # An unset key must not match an empty one.
        found = self._text and hmac.compare_digest(text.encode("utf-8", "surrogatepass"), self._text)
        return self._grant if found else Refusal("unknown_key")
