"""Where identifiers come from: random ones through an injectable source, derived ones by stated rules.

Derived ids are version-5 UUIDs (RFC 9562 section 5.5) under namespaces of ours, so that the same input is the same id
on every machine and in every release. Changing a namespace or a rule doubles events: these are frozen.
"""

from __future__ import annotations

import hashlib
import os
import random
import uuid
from typing import Protocol

_ROOT = uuid.uuid5(uuid.NAMESPACE_URL, "urn:sluice")
NATURAL_KEY = uuid.uuid5(_ROOT, "natural-key")
VISITOR = uuid.uuid5(_ROOT, "visitor")
SESSION = uuid.uuid5(_ROOT, "session")
LOG_LINE = uuid.uuid5(_ROOT, "log-line")

DEDUPE_ID_BYTES = 16


RECEIPT_BYTES = 16
# Asking the system for random bytes costs more than the bytes: they are asked for many at a time.
_RECEIPTS_A_CALL = 256


class IdSource(Protocol):
    def uuid4(self) -> uuid.UUID: ...

    def receipt(self) -> bytes:
        """Random bytes that name one request."""


class RandomIds:
    """Not for several threads at once."""

    def __init__(self) -> None:
        self._receipts: list[bytes] = []

    def uuid4(self) -> uuid.UUID:
        return uuid.uuid4()

    def receipt(self) -> bytes:
        if not self._receipts:
            drawn = os.urandom(RECEIPT_BYTES * _RECEIPTS_A_CALL)
            self._receipts = [drawn[at : at + RECEIPT_BYTES] for at in range(0, len(drawn), RECEIPT_BYTES)]
        return self._receipts.pop()


class SeededIds:
    """The same ids in the same order for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 (reproducible on purpose)

    def uuid4(self) -> uuid.UUID:
        return uuid.UUID(int=self._random.getrandbits(128), version=4)

    def receipt(self) -> bytes:
        return self.uuid4().bytes


def derived(namespace: uuid.UUID, *parts: str) -> str:
    """UUID of `parts`, each ended by a separator that cannot occur in a part boundary by accident."""
    return str(uuid.uuid5(namespace, "\x1f".join(parts)))


def dedupe_hash(tenant: str) -> hashlib.blake2b:
    """A hash that has taken in the tenant. A copy of it, updated with the bytes of an event id, digests to the
    `dedupe_id` of both: two thirds of the cost, where many events have one tenant.
    """
    return hashlib.blake2b(f"{tenant}\0".encode(), digest_size=DEDUPE_ID_BYTES)


def dedupe_id(tenant: str, event_id: str) -> bytes:
    """The 16 bytes under which (tenant, event id) is remembered in dedupe windows and outcome records."""
    return hashlib.blake2b(f"{tenant}\0{event_id}".encode(), digest_size=DEDUPE_ID_BYTES).digest()
