"""`GET /api/v1/tracking/pixel.gif`: one event in a URL, answered with an invisible picture.

For mails and pages without scripts. Parameters are the fields of an event by their names, `key` is the tracking key,
`properties` and `context` hold JSON. What such an event must be is judged like any other.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import msgspec

from collector.faults import JSON_ERRORS
from collector.problems import RequestError

PATHS = frozenset({"/api/v1/tracking/pixel.gif"})
GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00\x21\xf9\x04\x01\x00\x00\x00\x00"
    b"\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b"
)
_MAX_PARAMETERS = 64
_OBJECTS = frozenset({"properties", "context"})


def event(query: bytes) -> bytes:
    """The event of a query as JSON, its key in `tracking_key`.

    Raises:
        RequestError: a parameter comes twice, or there are too many, or one that should hold JSON does not.
    """
    try:
        pairs = parse_qsl(
            query.decode("latin-1"), keep_blank_values=True, encoding="utf-8", max_num_fields=_MAX_PARAMETERS
        )
    except ValueError:
        raise RequestError(f"more than {_MAX_PARAMETERS} parameters", code="invalid_query") from None
    fields: dict[str, Any] = {}
    for name, text in pairs:
        if name in fields:
            raise RequestError("a parameter comes twice", code="invalid_query", field=f"$.{name[:100]}")
        fields[name] = _value(name, text)
    if "key" in fields:
        fields["tracking_key"] = fields.pop("key")
    return msgspec.json.encode(fields)


def _value(name: str, text: str) -> Any:
    if name == "version" and text.isascii() and text.isdigit():
        return int(text[:20])
    if name not in _OBJECTS:
        return text
    raw = text.encode()
    try:
        # Also so that no text ends the object and goes on with fields of its own.
        msgspec.json.decode(raw)
    except JSON_ERRORS:
        raise RequestError("must hold JSON", code="invalid_json", field=f"$.{name}") from None
    return msgspec.Raw(raw)
