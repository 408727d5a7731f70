"""From a judged event to its raw record: who it belongs to, when it happened, under which id it is known.

The rules for missing ids are frozen with `core.ids`: another rule gives the same event another id, and doubles it.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from collector.contract import Event
from collector.keys import Grant
from collector.moments import Clamped, corrected, epoch_ms
from collector.network import cut
from collector.publisher import Record
from collector.verdicts import IdSource
from core import ids
from schemas import envelope

SOURCE = "native"


class Arrival:
    """What all events of one request share. `sent_at_ms` is 0 if unknown; `client_ip` is cut already."""

    __slots__ = (
        "dnt",
        "gpc",
        "historical",
        "receipt_id",
        "received_at_ms",
        "sent_at_ms",
        "shared",
        "traceparent",
        "who",
    )

    def __init__(  # noqa: PLR0913 (a record, made once a request)
        self,
        received_at_ms: int,
        *,
        traceparent: str = "",
        sent_at_ms: int = 0,
        historical: bool = False,
        receipt_id: bytes = envelope.NO_RECEIPT,
        user_agent: str = "",
        client_ip: str = "",
        dnt: bool = False,
        gpc: bool = False,
    ) -> None:
        self.received_at_ms = received_at_ms
        self.traceparent = traceparent
        self.sent_at_ms = sent_at_ms
        self.historical = historical
        self.receipt_id = receipt_id
        # An import's own user agent and address are those of whoever imports.
        self.who = ("", "") if historical else (user_agent, client_ip)
        self.dnt = dnt
        self.gpc = gpc
        self.shared = self._shared(*self.who)

    def shared_by(self, event: Event) -> bytes:
        """What its envelope shares with those of other events, who it says its visitor is in it."""
        if event.user_agent is None and event.client_ip is None:
            return self.shared
        user_agent, client_ip = self.who
        return self._shared(event.user_agent or user_agent, cut(event.client_ip) if event.client_ip else client_ip)

    def _shared(self, user_agent: str, client_ip: str) -> bytes:
        return envelope.of_request(
            received_at_ms=self.received_at_ms,
            receipt_id=self.receipt_id,
            traceparent=self.traceparent,
            user_agent=user_agent,
            client_ip=client_ip,
        )


class Payload(Struct, gc=False, omit_defaults=True):
    """The normalised event: every key always, in this order, but the last. Times in epoch milliseconds, `sent_at` 0 if
    unknown.
    """

    event_id: str
    event_type: str
    name: str
    session_id: str
    visitor_id: str
    user_id: str
    url: str
    referrer: str
    properties: Raw
    context: Raw
    consent_state: str
    occurred_at: int
    sent_at: int
    time_clamped: Clamped = ""


# The record, the event's id, who made the id, and whether the event's time was believed.
Normal = tuple[Record, str, IdSource | UnsetType, Clamped]

_encode = msgspec.json.Encoder().encode


def normalise(event: Event, *, grant: Grant, arrival: Arrival, random_ids: ids.IdSource) -> Normal:
    """The raw record of a valid, consented event and the id it goes by."""
    event_id, visitor_id = event.event_id, event.visitor_id
    source: IdSource | UnsetType = UNSET
    if not event_id or not visitor_id:
        event_id, visitor_id, source = _named(event, grant.tenant, random_ids)
    received_at_ms = arrival.received_at_ms
    sent_at_ms = epoch_ms(event.sent_at) if event.sent_at is not None else arrival.sent_at_ms
    clamped: Clamped = ""
    if event.occurred_at is None:
        occurred_at_ms = received_at_ms
    else:
        occurred_at_ms = epoch_ms(event.occurred_at)
        if not arrival.historical:
            occurred_at_ms, clamped = corrected(occurred_at_ms, sent_at_ms=sent_at_ms, received_at_ms=received_at_ms)
    name = event.name or ""
    head = (
        name if event.event_type == "custom_event" else event.event_type,
        event.version or 0,
        grant.tenant,
        grant.key_id,
        SOURCE,
        arrival.historical,
    )
    payload = _payload(event, event_id, visitor_id, occurred_at_ms, sent_at_ms, clamped)
    value = envelope.sealed(head, arrival.shared_by(event), _encode(payload))
    record = Record(f"{grant.tenant}|{visitor_id}".encode(), value, arrival.historical)
    return record, event_id, source, clamped


def _payload(
    event: Event, event_id: str, visitor_id: str, occurred_at_ms: int, sent_at_ms: int, clamped: Clamped = ""
) -> Payload:
    return Payload(
        event_id,
        event.event_type,
        event.name or "",
        event.session_id or "",
        visitor_id,
        event.user_id or "",
        event.url or "",
        event.referrer or "",
        event.properties,
        event.context,
        event.consent_state or "pending",  # not granted: an essential event
        occurred_at_ms,
        sent_at_ms,
        clamped,
    )


def _named(event: Event, tenant: str, random_ids: ids.IdSource) -> tuple[str, str, IdSource | UnsetType]:
    """Id and visitor of an event that lacks one of them, and who made the id.

    Derived from what the client sent alone, without the server's times: a retry brings other ones and must get the
    same ids.
    """
    claimed_ms = epoch_ms(event.occurred_at) if event.occurred_at is not None else 0
    payload = _payload(event, event.event_id or "", event.visitor_id or "", claimed_ms, 0)
    if not payload.visitor_id:
        payload.visitor_id = _visitor(payload, tenant)
    if payload.event_id:
        return payload.event_id, payload.visitor_id, UNSET
    if event.occurred_at is not None:
        return _natural_key(payload, tenant), payload.visitor_id, "natural_key"
    return str(random_ids.uuid4()), payload.visitor_id, "assigned"


def _visitor(payload: Payload, tenant: str) -> str:
    """A stand-in that is the same for a retry: of the session if there is one, else of the event's own content."""
    if payload.session_id:
        return ids.derived(ids.VISITOR, tenant, payload.session_id)
    return ids.derived(ids.VISITOR, tenant, _encode(payload).decode())


def _natural_key(payload: Payload, tenant: str) -> str:
    """(tenant, session, event name, time as the client sent it).

    Without a session the visitor takes its place: events of two visitors in one millisecond are two events.
    """
    return ids.derived(
        ids.NATURAL_KEY,
        tenant,
        payload.session_id or payload.visitor_id,
        payload.name or payload.event_type,
        str(payload.occurred_at),
    )
