"""What every log format comes down to: a line's fields, or the reason why it has none.

A format is a name and a maker of parsers. A parser is called with the lines of one file in their order, without line
ends, and gives the fields of each; None for a line that only describes the file, which is no request and counts as
nothing. It raises MalformedLineError for all others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

Reason = Literal["empty", "too_long", "unfinished", "format", "extra_field", "time", "json", "too_deep"]
EXPLANATIONS: dict[Reason, str] = {
    "empty": "the line is empty",
    "too_long": "the line is longer than any that can be used",
    "unfinished": "the last line has no end yet",
    "format": "not a line of this log format",
    "extra_field": "a field stands before the address, as in vhost_combined",
    "time": "the time does not exist",
    "json": "not a JSON object",
    "too_deep": "nested too deeply",
}


class MalformedLineError(ValueError):
    """The line cannot be used. Stays inside the importer: such lines are counted and reported, never raised."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(EXPLANATIONS[reason])
        self.reason: Reason = reason


class LogLine(NamedTuple):
    """The fields of a line, unescaped. A `-`, which servers write for what they do not know, is "" (0 as a size)."""

    host: str
    ident: str
    user: str
    at: datetime
    """In UTC."""
    method: str
    """Empty, like `target` and `protocol`, where the client sent no HTTP."""
    target: str
    protocol: str
    """Empty also for HTTP/0.9, which does not send it."""
    status: int
    size: int
    referrer: str
    user_agent: str
    site: str = ""
    """Where the path belongs, e.g. `https://example.org`, for formats that say so."""


Parser = Callable[[bytes], LogLine | None]


@dataclass(frozen=True, slots=True)
class LogFormat:
    name: str
    new_parser: Callable[[], Parser]
    whole_end: bytes
    """What only a whole line ends with, so that a last line without line end is known to be no half of one."""


def site_of(host: str, *, scheme: str = "") -> str:
    """`https://example.org` of `example.org:443`; empty for no host."""
    if host in {"", "-"}:
        return ""
    name, _, port = host.rpartition(":")
    if not (name and port.isdecimal()):
        name, port = host, ""
    scheme = scheme or ("https" if port == "443" else "http")
    standard = {"http": "80", "https": "443"}.get(scheme)
    return f"{scheme}://{name}" if port in {"", standard} else f"{scheme}://{name}:{port}"
