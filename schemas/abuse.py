"""Records of the abuse topic: what a collector refused in an interval, by who and why (schema `abuse`)."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, field

from schemas import record
from schemas.registry import bundled

_SUBJECT = "abuse"
_WRITTEN = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Abuse:
    """`since` and `until` in milliseconds since 1970; `network` is cut already, "" for the sum of many."""

    since: int
    until: int
    collector: str
    tenant: str
    key_id: str
    network: str
    reason: str
    requests: int
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


def encode(abuse: Abuse) -> bytes:
    return record.write(bundled().get(_SUBJECT, _WRITTEN), asdict(abuse))


def decode(value: bytes) -> Abuse:
    """Raises InputError if `value` is no abuse record."""
    return Abuse(**record.read(_SUBJECT, value))
