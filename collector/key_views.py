"""The JSON of the API that manages tracking keys: what it is asked and how it shows a key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from collector.key_entries import KeyRecord, Kind
from collector.key_table import Key, Status
from collector.key_text import Mode

_OVERLAP_S = 24 * 3600
_MAX_OVERLAP_S = 90 * 24 * 3600
_MAX_ORIGINS = 50

# A tenant is half of a record's key, so the bar between the halves is none of its characters.
Tenant = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9._-]{0,62}\Z")]
Words = Annotated[str, Meta(max_length=200, pattern=r"\A[^\x00-\x1f\x7f]*\Z")]
Perhaps = Annotated[int, Meta(ge=0, le=1_000_000_000)] | None


class NewKey(Struct, frozen=True, forbid_unknown_fields=True):
    """`origins` for browser keys only. `requests_per_minute` of one client, 0 for no limit."""

    tenant: Tenant
    kind: Kind = "server"
    mode: Mode = "live"
    name: Words = ""
    origins: Annotated[tuple[str, ...], Meta(max_length=_MAX_ORIGINS)] = ()
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None
    requests_per_minute: Perhaps = None
    by: Words = "admin"


class Rotation(Struct, frozen=True, forbid_unknown_fields=True):
    """For `overlap_seconds` both keys work."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=_MAX_OVERLAP_S)] = _OVERLAP_S
    by: Words = "admin"


class Revoking(Struct, frozen=True, forbid_unknown_fields=True):
    reason: Words = ""
    by: Words = "admin"


class KeyView(Struct, frozen=True):
    """A key as it is shown. Times are RFC 3339, null for never. `key` is there once, in the answer that made it."""

    id: str
    tenant: str
    kind: Kind
    mode: Mode
    name: str
    status: Status
    origins: tuple[str, ...]
    requests_per_minute: int | None
    created_at: str | None
    created_by: str
    ends_at: str | None
    revoked_at: str | None
    revoked_by: str
    revoked_reason: str
    last_used_at: str | None
    replaces: str | None
    key: str | msgspec.UnsetType = msgspec.UNSET


class Listed(Struct, frozen=True):
    """`next` is what `after` takes to go on, null at the end."""

    keys: list[KeyView]
    next: str | None


class ConfigLimits(Struct, frozen=True):
    max_event_bytes: int
    max_body_bytes: int
    max_batch_events: int


class ClientConfig(Struct, frozen=True):
    """What a client needs to send events. `tracking_key` is null for server keys: only who made one has it."""

    collect_url: str
    tenant: str
    kind: Kind
    mode: Mode
    key_id: str
    tracking_key: str | None
    origins: tuple[str, ...]
    limits: ConfigLimits


def record_of(key: Key) -> KeyRecord:
    """Of a key that was made: the table shows no others."""
    assert key.record is not None  # noqa: S101
    return key.record


def view(key: Key, *, now_ms: int, text: str | msgspec.UnsetType = msgspec.UNSET) -> KeyView:
    record, revoked = record_of(key), key.revoked
    return KeyView(
        key.id,
        record.tenant,
        record.kind,
        record.mode,
        record.name,
        key.status(now_ms),
        record.origins,
        record.requests_per_minute,
        _time(record.created_at_ms),
        record.created_by,
        None if key.endless else _time(key.ends_at_ms),
        _time(revoked.at_ms) if revoked else None,
        revoked.by if revoked else "",
        revoked.reason if revoked else "",
        _time(key.used_at_ms),
        record.replaces or None,
        text,
    )


def _time(at_ms: int) -> str | None:
    """RFC 3339 in UTC. The milliseconds are kept: two keys made in one second have an order."""
    if not at_ms:
        return None
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
