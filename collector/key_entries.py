"""What the control topic says about tracking keys. JSON, one entry each:

    key/ID          the key as it was made; never changed afterwards
    key-revoked/ID  that it was revoked; there is none that takes it back
    key-used/ID     when it was last used, now and then

What must never be undone has an entry of its own: of entries under one name the topic keeps only the last, and a late
write of another kind cannot hide it. For the same reason a rotation is told by the key that comes, not by the one that
goes: `replaces` and `replaced_ends_at_ms`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from collector.key_text import Mode

KEY = "key/"
REVOKED = "key-revoked/"
USED = "key-used/"

Kind = Literal["server", "browser"]


class KeyRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A key as it was made. Times in epoch milliseconds, 0 for never.

    `hash` is the keyed hash of its text in hex, `pepper` the fingerprint of what it was keyed with. `origins` is what a
    browser key is bound to. `requests_per_minute` of one client, None for what the settings say, 0 for no limit.
    """

    id: str
    tenant: str
    kind: Kind
    mode: Mode
    hash: str
    pepper: str
    created_at_ms: int
    created_by: str = ""
    name: str = ""
    origins: tuple[str, ...] = ()
    expires_at_ms: int = 0
    requests_per_minute: int | None = None
    replaces: str = ""
    replaced_ends_at_ms: int = 0


class Revocation(msgspec.Struct, frozen=True, omit_defaults=True):
    at_ms: int
    by: str = ""
    reason: str = ""


encode = msgspec.json.encode
decode_key = msgspec.json.Decoder(KeyRecord).decode
decode_revocation = msgspec.json.Decoder(Revocation).decode
decode_used = msgspec.json.Decoder(int).decode
