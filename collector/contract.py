"""The native event contract: which fields an event has, of which type and within which bounds.

Says nothing about how an event is judged or what becomes of it. A field that is `null` counts as absent. Unknown
fields are refused, because a misspelt one that is silently dropped is found out in an analysis months later.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct

EventType = Literal["page_view", "custom_event", "identity"]
ConsentState = Literal["pending", "granted", "denied"]

Id = Annotated[str, Meta(max_length=256)]
EventId = Annotated[str, Meta(min_length=1, max_length=128)]
Name = Annotated[str, Meta(max_length=200)]
Url = Annotated[str, Meta(max_length=8192)]
Secret = Annotated[str, Meta(max_length=512)]
UserAgent = Annotated[str, Meta(max_length=1024)]
# As long as an address with a scope may be.
Address = Annotated[str, Meta(max_length=64)]
Version = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Moment = Annotated[datetime, Meta(tz=True)]

# Of `properties` and `context` each, as sent. A richer object belongs into more than one event.
MAX_OBJECT_BYTES = 16 * 1024
# Names in `properties` and `context` each, not counting what is inside of values.
MAX_PROPERTIES = 1_000
# Levels inside `properties` and `context`. Readers further down recurse, each with its own stack.
MAX_DEPTH = 64

EMPTY_OBJECT = Raw(b"{}")


class Event(Struct, forbid_unknown_fields=True, gc=False):
    """One event as a client sends it. `properties` and `context` stay the bytes they were.

    `user_agent` and `client_ip` are the visitor's, for servers that send on their behalf.
    """

    event_type: EventType
    event_id: EventId | None = None
    name: Name | None = None
    session_id: Id | None = None
    visitor_id: Id | None = None
    user_id: Id | None = None
    url: Url | None = None
    referrer: Url | None = None
    properties: Raw = EMPTY_OBJECT
    context: Raw = EMPTY_OBJECT
    consent_state: ConsentState | None = None
    occurred_at: Moment | None = None
    sent_at: Moment | None = None
    version: Version | None = None
    user_agent: UserAgent | None = None
    client_ip: Address | None = None
    tenant: Id | None = None
    tracking_key: Secret | None = None
    key_id: Id | None = None


class Batch(Struct, forbid_unknown_fields=True):
    """Several events under one key. `historical` takes `occurred_at` as it is: no clock correction, no clamping."""

    events: list[Raw]
    tenant: Id | None = None
    tracking_key: Secret | None = None
    key_id: Id | None = None
    sent_at: Moment | None = None
    historical: bool = False
