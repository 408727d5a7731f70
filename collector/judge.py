"""Judges the events of one request: contract, key, tenant, consent. No I/O, no knowledge of HTTP's framing.

Order of the checks on one event, first failure wins (what nothing is wrong with is checked together with its
neighbours, see `together`):

1. size
2. secrets and addresses are taken out (`redaction`): no failure, but from here on nobody sees them
3. JSON and the contract's types and bounds
4. key and tenant
5. consent and the browser's wishes (`privacy`)
6. what the types cannot say: required name, control characters, inside of `properties` and `context`
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from collector import together
from collector.caller import Caller
from collector.contract import EMPTY_OBJECT, MAX_DEPTH, MAX_OBJECT_BYTES, MAX_PROPERTIES, Event
from collector.drops import Dropped
from collector.faults import JSON_ERRORS, Fault, FaultError, explain
from collector.forms import Form
from collector.keys import Grant
from collector.normal import Arrival, normalise
from collector.oddities import depth
from collector.privacy import Policy
from collector.problems import (
    BrowserKeyError,
    OriginError,
    RequestError,
    TenantMismatchError,
    TooLargeError,
    UnauthorizedError,
)
from collector.publisher import Record
from collector.redaction import Redaction
from collector.verdicts import Verdict, rejected
from core.ids import IdSource

_EVENT = msgspec.json.Decoder(Event)
_OBJECT = msgspec.json.Decoder(dict[str, Any])
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class _Glimpse(msgspec.Struct):
    """What can be said about an event that breaks its contract."""

    event_id: Any = None
    tracking_key: Any = None
    event_type: Any = None
    name: Any = None


_GLIMPSE = msgspec.json.Decoder(_Glimpse)


class Judged(NamedTuple):
    """`records[i]` belongs to `verdicts[positions[i]]`, which says `accepted` until publishing says otherwise. `drops`
    has one for each other verdict.
    """

    verdicts: list[Verdict]
    records: list[Record]
    positions: list[int]
    drops: list[Dropped]


class Judge:
    def __init__(self, *, random_ids: IdSource, max_event_bytes: int, policy: Policy, redaction: Redaction) -> None:
        self._ids = random_ids
        self._max_event_bytes = max_event_bytes
        self._policy = policy
        self._redaction = redaction

    def request_grant(self, form: Form, *, bearer: Grant | None, caller: Caller) -> Grant | None:
        """The grant that holds for all events of the request: of the Authorization header, else of the batch.

        None if neither brings a key: then each event must. A key that is given must work, wherever it stands.

        Raises:
            UnauthorizedError, TenantMismatchError
            NotNowError, OriginError, BrowserKeyError: as `Caller.find`.
        """
        grant = bearer
        if form.tracking_key is not None:
            own = caller.find(form.tracking_key)
            if own is None:
                raise UnauthorizedError("the tracking key of the batch is not known", field="$.tracking_key")
            grant = grant or own
            if own.tenant != grant.tenant:
                raise TenantMismatchError("the tracking keys are of different tenants", field="$.tracking_key")
        if grant is not None and form.tenant not in {None, grant.tenant}:
            raise TenantMismatchError("the tracking key is not one of this tenant", field="$.tenant")
        return grant

    def judge(self, form: Form, *, grant: Grant | None, arrival: Arrival, caller: Caller) -> Judged:
        """A verdict for each event, a record for each that may be published.

        Raises:
            RequestError: a body that is one bare event is no JSON.
            TooLargeError: a bare event is above the limit.
            UnauthorizedError: there is no `grant` and no event brought a key that works.
            NotNowError: as `Caller.find`.
            BrowserKeyError: as `Caller.find`, of the key of a bare event.
        """
        verdicts: list[Verdict] = []
        records: list[Record] = []
        positions: list[int] = []
        drops: list[Dropped] = []
        any_key = grant is not None
        usual = grant if form.tenant is None else None
        events = together.read(form.events, self._max_event_bytes) if self._is_plain(form) else None
        for index, raw in enumerate(form.events):
            text, known = b"", grant
            try:
                if events is not None:
                    event = events[index]
                else:
                    text = self._readable(raw)
                    event = _decode(text)
                if usual is not None and event.tracking_key is None and event.tenant is None:
                    event_grant = usual
                else:
                    known = event_grant = _event_grant(event, grant, form, caller)
                any_key = True
                if drop := self._policy.drop(event, dnt=arrival.dnt, gpc=arrival.gpc):
                    verdicts.append(Verdict(event.event_id, "consent_dropped", index=index, code=drop))
                    drops.append(Dropped(event_grant.tenant, event.name or event.event_type, drop))
                    continue
                if events is None:
                    _check(event, text)
            except FaultError as error:
                if events is not None:
                    text = bytes(raw)  # which is plain
                glimpse = _glimpse(text or bytes(raw))
                any_key = any_key or _is_key(glimpse.tracking_key, caller)
                if form.single:
                    _raise_for_single(error.fault)
                verdicts.append(rejected(index, error.fault, event_id=_readable_id(glimpse.event_id)))
                name = _readable_name(glimpse) if text else ""  # not of what is not redacted
                drops.append(Dropped(known.tenant if known else "", name, error.fault.code))
                continue
            record, event_id, source, clamped = normalise(
                event, grant=event_grant, arrival=arrival, random_ids=self._ids
            )
            positions.append(len(verdicts))
            records.append(record)
            verdicts.append(Verdict(event_id, "accepted", source, time_clamped=clamped or UNSET))
        if not any_key:
            raise UnauthorizedError("no tracking key that is known; send `Authorization: Bearer KEY`")
        return Judged(verdicts, records, positions, drops)

    def _is_plain(self, form: Form) -> bool:
        """Whether there are several events, and nothing in any of them that had to be taken out or unescaped."""
        return not form.single and b"\\" not in form.text and not self._redaction.suspicious(form.text)

    def _readable(self, raw: msgspec.Raw) -> bytes:
        """The event as all that follows may see it."""
        if len(raw) > self._max_event_bytes:
            raise FaultError("too_large", None, f"an event may have {self._max_event_bytes} bytes")
        return self._redaction.apply(bytes(raw))


def _event_grant(event: Event, grant: Grant | None, form: Form, caller: Caller) -> Grant:
    if event.tracking_key is not None:
        try:
            own = caller.find(event.tracking_key)
        except OriginError as error:
            raise FaultError("origin_not_allowed", "$.tracking_key", error.message) from None
        except BrowserKeyError as error:
            if form.single:
                raise
            raise FaultError("browser_key_required", "$.tracking_key", error.message) from None
        if own is None:
            raise FaultError("unauthorized", "$.tracking_key", "the tracking key of the event is not known")
        grant = grant or own
        if own.tenant != grant.tenant:
            raise FaultError("tenant_mismatch", "$.tracking_key", "the tracking key is of another tenant")
    elif grant is None:
        raise FaultError("unauthorized", "$.tracking_key", "neither the request nor the event has a tracking key")
    tenant = event.tenant if event.tenant is not None else form.tenant
    if tenant is not None and tenant != grant.tenant:
        raise FaultError("tenant_mismatch", "$.tenant", "the tracking key is not one of this tenant")
    return grant


def _is_key(value: object, caller: Caller) -> bool:
    try:
        return isinstance(value, str) and caller.find(value) is not None
    except OriginError:
        return False
    except BrowserKeyError:
        return True


def _decode(text: bytes) -> Event:
    try:
        return _EVENT.decode(text)
    except JSON_ERRORS as error:
        raise FaultError(*explain(error)) from None


def _check(event: Event, text: bytes) -> None:
    if event.event_type == "custom_event" and not event.name:
        raise FaultError("missing_field", "$.name", "a custom event needs a name")
    # Control characters are legal in JSON as escapes only.
    if b"\\" in text:
        for field in ("event_id", "name", "session_id", "visitor_id", "user_id"):
            if _CONTROL.search(getattr(event, field) or ""):
                raise FaultError("invalid_field", f"$.{field}", "control characters are not allowed here")
    if event.properties is not EMPTY_OBJECT:
        event.properties = _checked_object(event.properties, "$.properties")
    if event.context is not EMPTY_OBJECT:
        event.context = _checked_object(event.context, "$.context")


def _checked_object(raw: msgspec.Raw, field: str) -> msgspec.Raw:
    """`raw` itself, known to be an object that every reader downstream can decode."""
    if len(raw) > MAX_OBJECT_BYTES:
        raise FaultError("too_large", field, f"may have {MAX_OBJECT_BYTES} bytes")
    text = bytes(raw)
    if text == b"null":
        return EMPTY_OBJECT
    # Each level takes two bytes: most objects are too short to be too deep.
    if len(text) > 2 * MAX_DEPTH and text.count(b"{") + text.count(b"[") > MAX_DEPTH and depth(text) > MAX_DEPTH:
        raise FaultError("too_deep", field, f"may be nested {MAX_DEPTH} levels deep")
    try:
        names = len(_OBJECT.decode(text))
    except JSON_ERRORS as error:
        fault = explain(error)
        raise FaultError(fault.code, field, fault.message) from None
    if names > MAX_PROPERTIES:
        raise FaultError("too_many_properties", field, f"may have {MAX_PROPERTIES} names")
    return raw


def _glimpse(text: bytes) -> _Glimpse:
    try:
        return _GLIMPSE.decode(text)
    except JSON_ERRORS:
        return _Glimpse()


def _readable_id(value: object) -> str | None:
    return value if isinstance(value, str) and len(value) <= 128 else None


def _readable_name(glimpse: _Glimpse) -> str:
    name = glimpse.name or glimpse.event_type
    return name if isinstance(name, str) else ""


def _raise_for_single(fault: Fault) -> None:
    """A bare event that is no JSON, or too large, makes the request itself one."""
    if fault.code == "invalid_json" and fault.field is None:
        raise RequestError(fault.message, code=fault.code)
    if fault.code == "too_large" and fault.field is None:
        raise TooLargeError(f"{fault.message}; send several in a batch")
