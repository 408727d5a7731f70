"""The W3C trace context of an event on its way through topics: a record header `traceparent`, as OpenTelemetry's
propagators for messaging read and write it. The raw record has it in its envelope, with what else is told of a request.
"""

from __future__ import annotations

from streams.transaction import Headers

HEADER = "traceparent"


def trace_headers(traceparent: str) -> Headers:
    """Headers of a record that continues `traceparent`; none where that is empty."""
    return [(HEADER, traceparent.encode())] if traceparent else None


def traceparent_of(headers: Headers) -> str:
    """What a record continues; empty where it has no such header, or one that is no text."""
    for name, value in headers or ():
        if name == HEADER and value is not None:
            return value.decode("ascii", "replace")
    return ""
