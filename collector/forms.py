"""Takes a body apart into events, whichever of the three forms it has: one event, an array, or a batch object.

Decides nothing about single events: each stays the bytes it was, so that a bad one never costs its neighbours.
Duplicate keys are legal JSON with undefined meaning (RFC 8259 section 4); here the last one counts, at every level.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from collector import oddities
from collector.contract import Batch
from collector.faults import JSON_ERRORS, explain
from collector.moments import epoch_ms
from collector.problems import RequestError, TooLargeError

_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_BATCH = msgspec.json.Decoder(Batch)
_WHITESPACE = b" \t\r\n"


class _Peek(msgspec.Struct):
    events: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_PEEK = msgspec.json.Decoder(_Peek)


class Form(NamedTuple):
    """`text` is what the events stand in, in this order and apart; `single` for a body that is one bare event;
    `sent_at_ms` is 0 if the batch names none.
    """

    text: bytes
    events: list[msgspec.Raw]
    single: bool = False
    tenant: str | None = None
    tracking_key: str | None = None
    sent_at_ms: int = 0
    historical: bool = False


def read(body: bytes, *, max_events: int) -> Form:
    """The events of `body` and what a batch says about all of them.

    Raises:
        RequestError: not JSON, or a batch object that breaks its contract.
        TooLargeError: more than `max_events`.
    """
    body = oddities.clean(body)
    try:
        form = _split(body)
    except RecursionError:
        form = _split_pruned(body)
    except JSON_ERRORS as error:
        raise _refused(error) from None
    if len(form.events) > max_events:
        raise TooLargeError(f"{len(form.events)} events, {max_events} are allowed", code="too_many_events")
    return form


def _split_pruned(body: bytes) -> Form:
    try:
        return _split(oddities.prune(body))
    except JSON_ERRORS as error:
        raise _refused(error) from None


def _split(body: bytes) -> Form:
    first = body[:1]
    if first in {b" ", b"\t", b"\r", b"\n"}:
        first = body.lstrip(_WHITESPACE)[:1]
    if first == b"[":
        return Form(body, _ARRAY.decode(body))
    if first == b"{":
        return _batch(body) if _is_batch(body) else Form(body, [msgspec.Raw(body)], single=True)
    if not first:
        raise RequestError("the body is empty", code="invalid_json")
    raise RequestError("the body must be a JSON object or an array of them", code="invalid_json")


def _is_batch(body: bytes) -> bool:
    # Most bodies are single events, and this spares them a pass. Nobody escapes the letters of `events` for fun.
    return b'"events"' in body and _PEEK.decode(body).events is not msgspec.UNSET


def _batch(body: bytes) -> Form:
    batch = _BATCH.decode(body)
    sent_at_ms = epoch_ms(batch.sent_at) if batch.sent_at else 0
    return Form(
        body,
        batch.events,
        tenant=batch.tenant,
        tracking_key=batch.tracking_key,
        sent_at_ms=sent_at_ms,
        historical=batch.historical,
    )


def _refused(error: Exception) -> RequestError:
    code, field, message = explain(error)
    return RequestError(message, code=code, field=field)
