"""What the collector wants to know from a request's headers, found in one pass. Judges nothing but their syntax."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from collector.origins import normal

# W3C Trace Context level 1, version 00; all-zero ids are invalid there.
_TRACEPARENT = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

_LISTS = frozenset({b"content-encoding", b"x-forwarded-for"})

# As much as an event may say itself. The few that are longer are no browser's.
MAX_USER_AGENT = 1024


_WANTED = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"dnt",
        b"origin",
        b"sec-gpc",
        b"traceparent",
        b"user-agent",
        b"x-forwarded-for",
    }
)


class RequestHead(NamedTuple):
    """`authorization` is None when the header is absent; `content_length` is -1 then; `traceparent` "" unless valid.

    `user_agent` has at most MAX_USER_AGENT characters. `dnt` (Tracking Preference Expression) and `gpc` (Global Privacy
    Control) say whether the visitor objects to being tracked. `origin` is the page's (RFC 6454), `forwarded_for` all
    of X-Forwarded-For, both "" if they are not said.
    """

    authorization: str | None
    content_encoding: str
    content_length: int
    traceparent: str
    user_agent: str
    dnt: bool
    gpc: bool
    origin: str
    forwarded_for: str


def read(headers: Iterable[tuple[bytes, bytes]]) -> RequestHead:  # noqa: C901 (one pass is the point)
    authorization: str | None = None
    traceparent = user_agent = origin = ""
    lists: dict[bytes, str] = {}
    length = -1
    dnt = gpc = False
    for name, value in headers:
        if name not in _WANTED:
            continue
        if name == b"content-length":
            # The HTTP parser has refused anything but digits; other servers may not.
            length = int(value) if value.isdigit() else -1
        elif name == b"authorization":
            # Two of them are read differently by different servers: neither counts.
            authorization = value.decode("latin-1") if authorization is None else ""
        elif name in _LISTS:
            # A repeated header is a list (RFC 9110 section 5.3): two encodings are nested encodings.
            text = value.decode("latin-1").strip()
            lists[name] = f"{lists[name]}, {text}" if name in lists else text
        elif name == b"traceparent" and _TRACEPARENT.fullmatch(value):
            traceparent = value.decode("ascii")
        elif name == b"user-agent":
            user_agent = value[:MAX_USER_AGENT].decode("latin-1")
        elif name == b"origin":
            origin = value.decode("latin-1")
        elif name == b"dnt":
            dnt = value.strip() == b"1"
        elif name == b"sec-gpc":
            gpc = value.strip() == b"1"
    encoding, forwarded_for = lists.get(b"content-encoding", "").lower(), lists.get(b"x-forwarded-for", "")
    return RequestHead(authorization, encoding, length, traceparent, user_agent, dnt, gpc, origin, forwarded_for)


def referrer_origin(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Of the page that loads an image: for one, browsers send no Origin. "" if it is not said."""
    for name, value in headers:
        if name == b"referer":
            scheme, _, rest = value.decode("latin-1").partition("://")
            return normal(f"{scheme}://{rest.partition('/')[0]}") or ""
    return ""


def bearer(authorization: str) -> str | None:
    """The credential of `Bearer KEY` (scheme in any case), None for any other scheme."""
    scheme, _, credential = authorization.partition(" ")
    return credential.strip() or None if scheme.lower() == "bearer" else None
