"""Records of the audit topic: who did what to keys and flags (schema `audit`)."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, field

from schemas import record
from schemas.registry import bundled

_SUBJECT = "audit"
_WRITTEN = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """One action. `at` in milliseconds since 1970; `network` is cut already; no value is a secret."""

    at: int
    action: str
    actor: str
    subject: str
    tenant: str = ""
    network: str = ""
    detail: dict[str, str] = field(default_factory=dict)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


def encode(audit: Audit) -> bytes:
    return record.write(bundled().get(_SUBJECT, _WRITTEN), asdict(audit))


def decode(value: bytes) -> Audit:
    """Raises InputError if `value` is no audit record."""
    return Audit(**record.read(_SUBJECT, value))
