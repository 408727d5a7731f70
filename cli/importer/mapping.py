"""What a log line is as an event: page view or plain request, its address, its ids. Reads and sends nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from cli.importer.formats import AUTO
from cli.importer.formats.line import LogLine
from cli.importer.identity import LineIds, Visitors

Consent = Literal["granted", "denied", "pending"]
EventType = Literal["page_view", "custom_event"]

_PAGE_EXTENSIONS = frozenset({"html", "htm", "php", "asp", "aspx", "jsp"})
_NOT_MODIFIED = 304
_MAX_USER_AGENT = 1024  # of an event, docs/http.md


@dataclass(frozen=True, slots=True)
class Mapping:
    """Options of the mapping.

    `source` names the log in event ids; empty takes the file's name without what rotation adds to it.
    `site` is put before every path, e.g. `https://example.org`; empty takes what a line says, if its format does.
    `consent` is stamped on every event. `format` is a name in `formats.FORMATS` or `auto`.
    """

    source: str = ""
    site: str = ""
    consent: Consent = "granted"
    format: str = AUTO


class HttpProperties(msgspec.Struct, frozen=True):
    status: int
    bytes: int
    method: str
    protocol: str


class Event(msgspec.Struct, frozen=True):
    """An event as the collector takes it. Holds neither the address nor the user of the log line."""

    event_id: str
    event_type: EventType
    name: str
    session_id: str
    visitor_id: str
    url: str
    referrer: str
    user_agent: str
    properties: HttpProperties
    consent_state: Consent
    occurred_at: str


class LineMapper:
    """Maps the lines of one source, in their order."""

    def __init__(self, source: str, mapping: Mapping) -> None:
        self._site = mapping.site
        self._consent = mapping.consent
        self._line_ids = LineIds(source)
        self._visitors = Visitors(source)

    def event(self, raw: bytes, line: LogLine) -> Event:
        visitor_id, session_id = self._visitors.identify(line.host, line.user_agent, at=line.at)
        page = is_page_view(line)
        return Event(
            event_id=self._line_ids.event_id(raw, at=line.at),
            event_type="page_view" if page else "custom_event",
            name="" if page else "http_request",
            session_id=session_id,
            visitor_id=visitor_id,
            url=self._url(line),
            referrer=line.referrer,
            user_agent=line.user_agent[:_MAX_USER_AGENT],
            properties=HttpProperties(line.status, line.size, line.method, line.protocol),
            consent_state=self._consent,
            occurred_at=line.at.isoformat().replace("+00:00", "Z"),
        )

    def _url(self, line: LogLine) -> str:
        # A proxy's request names the whole address, and a request that was no HTTP has none.
        return (self._site or line.site) + line.target if line.target.startswith("/") else line.target


def is_page_view(line: LogLine) -> bool:
    """A page that a visitor got to see: a GET that succeeded, of something whose name is not that of an asset.

    A target that is no path, as open-proxy scanners send, is nobody's page.
    """
    if line.method != "GET" or not (200 <= line.status <= 299 or line.status == _NOT_MODIFIED):
        return False
    if not line.target.startswith("/"):
        return False
    path = line.target.partition("?")[0].partition("#")[0]
    _, dot, extension = path.rpartition("/")[2].rpartition(".")
    return not dot or extension.lower() in _PAGE_EXTENSIONS
