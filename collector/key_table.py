"""All tracking keys, in memory: what the control topic says about them, merged.

The merge does not depend on the order in which entries come, so every process has the same table, whether it read the
topic's history or only what compaction left of it. A revocation wins over everything. `take` may run in another thread
than `find`: each entry is replaced, never half changed.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec

from collector import key_entries, origins
from collector.key_entries import KEY, REVOKED, USED, KeyRecord, Revocation
from collector.key_text import DIGEST_BYTES, Pepper, id_of
from collector.keys import BOOTSTRAP_KEY_ID, Grant, Reason, Refusal
from core.clock import Clock, SystemClock
from core.log import get_logger
from core.settings import Settings

log = get_logger(__name__)

Status = Literal["active", "replaced", "expired", "revoked"]
_NEVER_MS = 2**63


@dataclass(frozen=True, slots=True)
class Key:
    """All that is known of one key. `record` is None as long as only other entries name it."""

    id: str
    record: KeyRecord | None = None
    revoked: Revocation | None = None
    replaced_ends_at_ms: int = _NEVER_MS  # the end of its overlap with the key that came after it
    used_at_ms: int = 0
    # Made from the record.
    digest: bytes = bytes(DIGEST_BYTES)
    grant: Grant = Grant("", "")  # noqa: RUF009 (a tuple)

    @property
    def ends_at_ms(self) -> int:
        """When it stops to work, if nothing else happens; far away for never."""
        expires = self.record.expires_at_ms if self.record else 0
        return min(self.replaced_ends_at_ms, expires or _NEVER_MS)

    @property
    def endless(self) -> bool:
        return self.ends_at_ms == _NEVER_MS

    def status(self, now_ms: int) -> Status:
        if self.revoked:
            return "revoked"
        if now_ms >= self.ends_at_ms:
            return "expired"
        return "active" if self.replaced_ends_at_ms == _NEVER_MS else "replaced"


class KeyTable:
    """`Keys` of the control topic, and the bootstrap key.

    Until `loaded` is set, a key that is not in the table may be one all the same.
    """

    def __init__(
        self, *, pepper: Pepper, bootstrap_key: str = "", bootstrap_tenant: str = "", clock: Clock | None = None
    ) -> None:
        self.loaded = False
        self._pepper = pepper
        self._clock = clock or SystemClock()
        self._keys: dict[str, Key] = {}
        self._used: dict[str, int] = {}
        self._foreign: set[str] = set()
        # An unset key must not match an empty one.
        self._bootstrap = bootstrap_key.encode() or secrets.token_bytes(DIGEST_BYTES)
        self._bootstrap_grant = Grant(bootstrap_tenant, BOOTSTRAP_KEY_ID)

    @classmethod
    def alone(cls, settings: Settings) -> KeyTable:
        """The bootstrap key and no other, for whoever follows no control topic."""
        table = cls(
            pepper=Pepper(secrets.token_hex()),
            bootstrap_key=settings.bootstrap_key,
            bootstrap_tenant=settings.bootstrap_tenant,
        )
        table.loaded = True
        return table

    # -- the hot path

    def find(self, text: str, origin: str = "") -> Grant | Refusal:
        # Both comparisons are made whatever the first one says: which key a text is nearly one of shows in no time.
        key = self._keys.get(id_of(text) or "", _NO_KEY)
        is_key = hmac.compare_digest(self._pepper.hash(text), key.digest)
        if hmac.compare_digest(text.encode("utf-8", "surrogatepass"), self._bootstrap):
            return self._bootstrap_grant
        if key.record is None:
            return _UNKNOWN if self.loaded else _NOT_LOADED
        if not is_key:
            return Refusal("wrong_secret", key_id=key.id)
        now_ms = self._clock.now_ms()
        if reason := _refused(key, key.record, origin, now_ms):
            return Refusal(reason, key.grant.tenant, key.id)
        self._used[key.id] = now_ms
        return key.grant

    # -- what the topic says

    def take(self, name: str, value: bytes | None) -> None:
        """One entry of the control topic. Those of others are none of ours; what cannot be read is logged and left."""
        for prefix, take in ((KEY, self._take_key), (REVOKED, self._take_revoked), (USED, self._take_used)):
            if name.startswith(prefix):
                try:
                    take(name.removeprefix(prefix), value)
                except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
                    log.warning("keys.entry_refused", name=name, error=str(error))
                return

    def _take_key(self, key_id: str, value: bytes | None) -> None:
        if value is None:
            # Nobody of ours removes a key. Whoever did wants it gone, also where the entry is still in the log.
            self._take_revoked(key_id, key_entries.encode(Revocation(0, "", "its entry was removed")))
            return
        record = key_entries.decode_key(value)
        if record.id != key_id:
            raise ValueError("the entry of one key names another")
        digest = bytes.fromhex(record.hash)
        if len(digest) != DIGEST_BYTES:
            raise ValueError("not a keyed hash")
        if record.pepper != self._pepper.fingerprint and record.pepper not in self._foreign:
            self._foreign.add(record.pepper)
            log.warning(
                "keys.other_pepper",
                key_id=key_id,
                hint="This key does not work here: it was made with another SLUICE_KEY_PEPPER.",
            )
        # An entry is written once. Should there be two, every process takes the same one.
        known = self._keys.get(key_id)
        if known is None or known.record is None or key_entries.encode(record) < key_entries.encode(known.record):
            grant = Grant(record.tenant, key_id, record.requests_per_minute, record.kind == "browser")
            self._change(key_id, record=record, digest=digest, grant=grant)
        if record.replaces:
            before = self._keys.get(record.replaces, _NO_KEY)
            ends = min(before.replaced_ends_at_ms, record.replaced_ends_at_ms)
            self._change(record.replaces, replaced_ends_at_ms=ends)

    def _take_revoked(self, key_id: str, value: bytes | None) -> None:
        if value is None:
            return  # there is no way back
        told = key_entries.decode_revocation(value)
        known = self._keys.get(key_id, _NO_KEY).revoked
        if known is None or (told.at_ms, told.by, told.reason) < (known.at_ms, known.by, known.reason):
            self._change(key_id, revoked=told)

    def _take_used(self, key_id: str, value: bytes | None) -> None:
        if value is not None:
            used = key_entries.decode_used(value)
            self._change(key_id, used_at_ms=max(used, self._keys.get(key_id, _NO_KEY).used_at_ms))

    def _change(self, key_id: str, **changes: Any) -> None:
        self._keys[key_id] = replace(self._keys.get(key_id) or Key(key_id), **changes)

    # -- for whoever manages keys

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, key_id: str) -> Key | None:
        """A key that was made."""
        key = self._keys.get(key_id)
        return key if key and key.record else None

    def all(self) -> Iterable[Key]:
        """Every key that was made, the newest first."""
        made = [(key.record.created_at_ms, key.id, key) for key in list(self._keys.values()) if key.record]
        return [key for _, _, key in sorted(made, reverse=True)]

    def used_since(self, before_ms: int) -> dict[str, int]:
        """Keys used since the last call, and when, as far as the topic does not know of a use after `before_ms`."""
        used, self._used = self._used, {}
        return {key_id: at for key_id, at in used.items() if self._keys.get(key_id, _NO_KEY).used_at_ms <= before_ms}


def _refused(key: Key, record: KeyRecord, origin: str, now_ms: int) -> Reason | None:
    """Why a key whose text was right does not work."""
    if key.revoked:
        return "revoked_key"
    if now_ms >= key.ends_at_ms:
        return "expired_key"
    if record.kind == "browser" and not origins.allowed(origin, record.origins):
        return "origin"
    return None


_NO_KEY = Key("")
_UNKNOWN = Refusal("unknown_key")
_NOT_LOADED = Refusal("not_loaded")
