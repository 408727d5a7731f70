"""What an event says about its line."""

from __future__ import annotations

import msgspec
import pytest

from cli.importer.formats.combined import parse_line
from cli.importer.mapping import LineMapper, Mapping, is_page_view


def line(request: str = "GET / HTTP/1.1", status: int = 200) -> bytes:
    return f'1.2.3.4 - bob [17/May/2015:10:05:03 +0200] "{request}" {status} 12 "-" "agent"'.encode()


@pytest.mark.parametrize(
    ("target", "page"),
    [
        ("/", True),
        ("/blog/", True),
        ("/blog/post", True),
        ("/index.html", True),
        ("/INDEX.HTM?a=b.png", True),
        ("/a.php", True),
        ("/a.asp", True),
        ("/a.aspx", True),
        ("/a.jsp", True),
        ("/v1.2/page", True),
        ("/a.png", False),
        ("/v1.2", False),
        ("/.htaccess", False),
        ("/feed.xml?x=/y", False),
        ("/a.html.gz", False),
        ("http://elsewhere/", False),
        ("*", False),
    ],
)
def test_pages_are_told_by_their_last_segment(target: str, page: bool) -> None:
    assert is_page_view(parse_line(line(f"GET {target} HTTP/1.1"))) is page


@pytest.mark.parametrize(
    ("method", "status", "page"),
    [("GET", 200, True), ("GET", 206, True), ("GET", 299, True), ("GET", 304, True), ("GET", 301, False),
     ("GET", 404, False), ("GET", 199, False), ("POST", 200, False), ("HEAD", 200, False), ("get", 200, False)],
)  # fmt: skip
def test_pages_are_successful_gets(method: str, status: int, page: bool) -> None:
    assert is_page_view(parse_line(line(f"{method} / HTTP/1.1", status))) is page


def test_an_event_holds_all_that_the_collector_wants_and_no_address() -> None:
    raw = line("GET /p?q=1 HTTP/1.1")
    event = msgspec.to_builtins(
        LineMapper("s", Mapping(site="https://example.org", consent="pending")).event(raw, parse_line(raw))
    )
    ids = [event.pop(name) for name in ("event_id", "visitor_id", "session_id")]
    assert len({*ids}) == 3
    assert event == {
        "event_type": "page_view",
        "name": "",
        "url": "https://example.org/p?q=1",
        "referrer": "",
        "user_agent": "agent",
        "properties": {"status": 200, "bytes": 12, "method": "GET", "protocol": "HTTP/1.1"},
        "consent_state": "pending",
        "occurred_at": "2015-05-17T08:05:03Z",
    }


def test_other_requests_are_custom_events() -> None:
    raw = line("POST http://elsewhere/ HTTP/1.1", 403)
    event = LineMapper("s", Mapping(site="https://example.org")).event(raw, parse_line(raw))
    assert (event.event_type, event.name, event.url) == ("custom_event", "http_request", "http://elsewhere/")


def test_what_was_no_http_has_no_url() -> None:
    raw = line(r"\x16\x03", 400)
    event = LineMapper("s", Mapping(site="https://example.org")).event(raw, parse_line(raw))
    assert (event.event_type, event.url, event.properties.method) == ("custom_event", "", "")
