"""Events to send: one, an array or JSON lines from a file, standard input or an option, or one made of options.

Their bytes stay what they are, faults included; only an event without an id gets one, so that it can be followed.
What is no JSON at all is not sent: which part of it would be an event?
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from core.errors import InputError
from core.ids import IdSource

# More is an import: it reports progress and can be resumed.
MAX_EVENTS = 10_000
_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


class _Glimpse(msgspec.Struct):
    event_id: Any = None
    event_type: Any = None
    name: Any = None


_GLIMPSE = msgspec.json.Decoder(_Glimpse)


class Outgoing(NamedTuple):
    """`event_id` is "" where the event is none that could be followed; `label` is its name or type."""

    body: bytes
    event_id: str
    label: str


def read(content: bytes, *, name: str, ids: IdSource) -> list[Outgoing]:
    """The events of a document. `name` is used in messages.

    Raises:
        InputError: not JSON, nothing in it, or more than `MAX_EVENTS`.
    """
    bodies = _bodies(content.removeprefix(b"\xef\xbb\xbf"), name)
    if not bodies:
        raise InputError(f"{name} holds no event")
    if len(bodies) > MAX_EVENTS:
        raise InputError(f"{name} holds {len(bodies)} events; {MAX_EVENTS} can be followed at a time")
    return [_outgoing(body, ids) for body in bodies]


def composed(fields: dict[str, Any], *, properties: Iterable[str]) -> bytes:
    """One event made of options. A property's value is JSON where it can be read as such, else text.

    Raises:
        InputError: a property is not `key=value`.
    """
    found: dict[str, Any] = {}
    for text in properties:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise InputError(f"the property {text!r} is not of the form key=value")
        found[key] = _value(value)
    given = {name: value for name, value in fields.items() if value}
    return msgspec.json.encode(given | ({"properties": found} if found else {}))


def _bodies(content: bytes, name: str) -> list[bytes]:
    text = content.strip()
    if not text:
        return []
    try:
        return [bytes(raw) for raw in _ARRAY.decode(text)] if text[:1] == b"[" else [_checked(text)]
    except _ERRORS as error:
        return _lines(text, name, error)


def _lines(text: bytes, name: str, whole: Exception) -> list[bytes]:
    """JSON lines. If not even the first line is JSON, the document as a whole was meant."""
    bodies: list[bytes] = []
    for number, line in enumerate(text.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            bodies.append(_checked(line.strip()))
        except _ERRORS as error:
            if not bodies:
                raise InputError(f"{name} is neither JSON nor JSON lines: {whole}") from None
            raise InputError(f"{name}, line {number}, is not JSON: {error}", hint="Nothing was sent.") from None
    return bodies


def _checked(text: bytes) -> bytes:
    msgspec.json.decode(text)
    return text


def _outgoing(body: bytes, ids: IdSource) -> Outgoing:
    try:
        glimpse = _GLIMPSE.decode(body)
    except _ERRORS:
        return Outgoing(body, "", "")  # no object: the collector says so
    label = next((text for text in (glimpse.name, glimpse.event_type) if isinstance(text, str) and text), "")
    if glimpse.event_id is not None:
        return Outgoing(body, glimpse.event_id if isinstance(glimpse.event_id, str) else "", label)
    event_id = str(ids.uuid4())
    # At the end, where it counts over an `event_id` that is null.
    inside = body.rstrip()[:-1].rstrip()
    comma = b"" if inside == b"{" else b","
    return Outgoing(inside + comma + b'"event_id":"' + event_id.encode() + b'"}', event_id, label)


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text.encode())
    except _ERRORS:
        return text
