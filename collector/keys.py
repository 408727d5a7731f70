"""Tracking keys as the hot path sees them: which text speaks for which tenant.

What a key may do beyond its tenant's events is not decided here.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

BOOTSTRAP_KEY_ID = "bootstrap"

Reason = Literal[
    "unknown_key",  # nothing like it was ever made
    "wrong_secret",  # the id is known, the rest is wrong
    "revoked_key",
    "expired_key",  # also: replaced, and its overlap is over
    "origin",  # a browser key on a page that it is not for
    "exposed_key",  # a secret key where everyone can read it
    "not_loaded",  # keys are not read yet: it may be a good one
]


class Grant(NamedTuple):
    """What a key gives. `key_id` travels with every event. `browser`: it is public, and may stand where everyone reads.

    `requests_per_minute` of one client: None for what the settings say, 0 for no limit.
    """

    tenant: str
    key_id: str
    requests_per_minute: int | None = None
    browser: bool = False


class Refusal(NamedTuple):
    """Why a key gives nothing. `key_id` is there if such a key was made, `tenant` only if its whole text was right."""

    reason: Reason
    tenant: str = ""
    key_id: str = ""


class Keys(Protocol):
    def find(self, text: str, origin: str = "", /) -> Grant | Refusal:
        """What `text` gives to a request from a page of `origin` ("" if it names none).

        Takes the same time for every wrong text of a length.
        """
