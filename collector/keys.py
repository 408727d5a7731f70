"""Tracking keys: which secret speaks for which tenant.

First version: the bootstrap key alone. What a key may do beyond its tenant's events is not decided here.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Protocol

from core.settings import Settings

BOOTSTRAP_KEY_ID = "bootstrap"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a key gives. `key_id` travels with every event; the secret itself never leaves this module's callers."""

    tenant: str
    key_id: str


class Keys(Protocol):
    def find(self, secret: str) -> Grant | None:
        """The grant of `secret`, None if there is none. Takes the same time for every wrong secret of a length."""


class BootstrapKeys:
    """The one key of the settings. Every use is visible downstream: its events carry the key id `bootstrap`."""

    def __init__(self, settings: Settings) -> None:
        self._secret = settings.bootstrap_key.encode()
        self._grant = Grant(settings.bootstrap_tenant, BOOTSTRAP_KEY_ID)

    def find(self, secret: str) -> Grant | None:
        # An unset key must not match an empty one.
        if self._secret and hmac.compare_digest(secret.encode(), self._secret):
            return self._grant
        return None
