"""Decodes and checks the events of a request together: the same checks as one by one, at half the cost.

Only where nothing is wrong with any of them. What is wrong with which is for `collector.judge` to find out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from collector.contract import EMPTY_OBJECT, MAX_DEPTH, MAX_OBJECT_BYTES, MAX_PROPERTIES, Event
from collector.faults import JSON_ERRORS

_EVENTS = msgspec.json.Decoder(list[Event])
_OBJECTS = msgspec.json.Decoder(list[dict[str, Any]])


def read(raws: Sequence[msgspec.Raw], max_event_bytes: int) -> list[Event] | None:
    """The events of `raws`, without backslashes and secrets, in order; None if one of them may break a rule."""
    joined = b"[%b]" % b",".join(raws)
    if len(joined) > max_event_bytes and any(len(raw) > max_event_bytes for raw in raws):
        return None
    try:
        events = _EVENTS.decode(joined)
    except JSON_ERRORS:
        return None
    if len(events) != len(raws):
        return None
    inside: list[msgspec.Raw] = []
    for event in events:
        if event.event_type == "custom_event" and not event.name:
            return None
        if event.properties is not EMPTY_OBJECT:
            inside.append(event.properties)
        if event.context is not EMPTY_OBJECT:
            inside.append(event.context)
    return events if _are_objects(inside) else None


def _are_objects(raws: Sequence[msgspec.Raw]) -> bool:
    """Whether all are objects within their bounds, which every reader downstream can decode."""
    for raw in raws:
        size = len(raw)
        # Each level takes two bytes: most objects are too short to be too deep.
        if size > 2 * MAX_DEPTH:
            text = bytes(raw)
            if size > MAX_OBJECT_BYTES or text.count(b"{") + text.count(b"[") > MAX_DEPTH:
                return False
    try:
        objects = _OBJECTS.decode(b"[%b]" % b",".join(raws))
    except JSON_ERRORS:
        return False
    return len(objects) == len(raws) and max(map(len, objects), default=0) <= MAX_PROPERTIES
