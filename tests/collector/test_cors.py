"""Which pages may send and read: the answers to preflights and what any answer carries."""

from __future__ import annotations

import pytest

from collector.app import create_app
from collector.cors import MAX_AGE_S
from collector.memory import MemoryPublisher
from core.errors import ConfigError
from core.settings import Settings
from tests.collector.asgi import Client, Reply
from tests.collector.conftest import COLLECT, KEY

EVENT = b'{"event_type":"page_view","consent_state":"granted"}'
LISTED = "https://shop.example, https://*.parts.example"


def ask(method: str, origins: str, origin: str | None, *, key: str = KEY) -> Reply:
    settings = Settings(bootstrap_key=KEY, collector_cors_origins=origins)
    client = Client(create_app(settings, publisher=MemoryPublisher()))
    headers = [("access-control-request-method", "POST")] if method == "OPTIONS" else []
    headers.append(("authorization", f"Bearer {key}"))
    if origin is not None:
        headers.append(("origin", origin))
    reply = client.request(method, COLLECT, b"" if method == "OPTIONS" else EVENT, headers=headers)
    assert reply is not None
    return reply


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        ("*", "https://any.example", "*"),
        ("*", "null", "*"),
        (LISTED, "https://shop.example", "https://shop.example"),
        (LISTED, "https://a.parts.example", "https://a.parts.example"),
        (LISTED, "https://parts.example", None),
        (LISTED, "http://shop.example", None),
        (LISTED, "https://shop.example.evil.example", None),
        (LISTED, "https://evilparts.example", None),
        (LISTED, "https://evil.example#.parts.example", None),
        (LISTED, "https://shop.example:8443", None),
        (LISTED, "null", None),
        (LISTED, "", None),
        ("", "https://shop.example", None),
    ],
)
def test_origins(origins: str, origin: str, allowed: str | None) -> None:
    preflight, answer, refused = (
        ask("OPTIONS", origins, origin),
        ask("POST", origins, origin),
        ask("POST", origins, origin, key="nope"),
    )
    assert (preflight.status, answer.status, refused.status) == (204, 200, 401)
    for reply in (preflight, answer, refused):
        assert reply.headers.get("access-control-allow-origin") == allowed
        assert "access-control-allow-credentials" not in reply.headers
        # An answer that differs by page must not be given to another page by a cache.
        assert origins == "*" or origin == "" or reply.headers["vary"] == "origin"
    assert (preflight.headers.get("access-control-max-age") == str(MAX_AGE_S)) == (allowed is not None)
    if allowed is not None:
        assert preflight.headers["access-control-allow-methods"] == "GET, POST"
        assert "authorization" in preflight.headers["access-control-allow-headers"]
        assert "retry-after" in answer.headers["access-control-expose-headers"]


def test_who_names_no_page_is_told_nothing_of_it() -> None:
    assert not [name for name in ask("POST", "*", None).headers if name.startswith("access-control")]
    options = ask("OPTIONS", "*", None)
    assert (options.status, options.headers["allow"]) == (204, "POST, OPTIONS")


@pytest.mark.parametrize("origins", ["shop.example", "https://shop.example/", "https://*", "null", "ftp://a.example"])
def test_settings_that_name_no_origin(origins: str) -> None:
    with pytest.raises(ConfigError, match="SLUICE_COLLECTOR_CORS_ORIGINS"):
        create_app(Settings(collector_cors_origins=origins), publisher=MemoryPublisher())
