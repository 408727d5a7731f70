"""Records of the drops topic: what a collector process understood and did not store (schema `drops`)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from schemas import record
from schemas.registry import bundled

_SUBJECT = "drops"
_WRITTEN = 1


@dataclass(frozen=True, slots=True)
class Drop:
    """`events` of the interval, `total` since the epoch began."""

    tenant: str
    event: str
    reason: str
    events: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drops:
    """`since` and `until` in milliseconds since 1970; `total` of all drops since the epoch began."""

    collector: str
    epoch: str
    sequence: int
    since: int
    until: int
    closing: bool
    total: int
    drops: tuple[Drop, ...]


def encode(drops: Drops) -> bytes:
    return record.write(bundled().get(_SUBJECT, _WRITTEN), asdict(drops))


def decode(value: bytes) -> Drops:
    """Raises InputError if `value` is no record of drops."""
    row = record.read(_SUBJECT, value)
    return Drops(**row | {"drops": tuple(Drop(**each) for each in row["drops"])})
