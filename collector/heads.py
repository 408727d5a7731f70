"""The head of a request, read once: the same bytes say the same again.

A connection that stays open sends heads that differ in little, and many clients send the same ones. So the heads that
were read without complaint are remembered by their bytes, and a request whose head is one of them needs no parser: its
body is what follows, as long as it says.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Final
from urllib.parse import unquote

import httptools

from collector import headers
from collector.headers import RequestHead
from collector.problems import MalformedError

# Clients differ in user agent, key and length of the body; a head takes 3 KiB here.
_REMEMBERED = 2_048
MAX_REMEMBERED_BYTES: Final = 2_048
_FRAMING = frozenset({b"content-length", b"expect", b"host", b"transfer-encoding"})


class Head:
    """`length` of the body is 0 if it is not said, `keep_alive` what the request alone says about it.

    Raises:
        MalformedError: two servers may read it differently, or it is no HTTP.
    """

    def __init__(
        self, method: str, version: str, url: bytes, fields: list[tuple[bytes, bytes]], *, keep_alive: bool
    ) -> None:
        self.method = method
        self.version = version
        self.fields = fields
        self.length, self.chunked, self.expects_continue = _framing(fields, version)
        try:
            self.path, self.raw_path, self.query = _split(url) if b"?" in url else _known(url)
        except (httptools.HttpParserInvalidURLError, UnicodeDecodeError):
            raise MalformedError("the request target is no URL") from None
        self.keep_alive = keep_alive and version != "1.0"

    @cached_property
    def wanted(self) -> RequestHead:
        """What the collector wants to know of the fields."""
        return headers.read(self.fields)


class Heads:
    """Those that are remembered; one a server, because what may be in a head depends on its bounds."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}
        self.find = self._known.get

    def remember(self, text: bytes, head: Head) -> None:
        """`text` is all of it, without its last two line ends."""
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[text] = head


def _framing(fields: list[tuple[bytes, bytes]], version: str) -> tuple[int, bool, bool]:
    """Length of the body (0 if unknown), whether it comes in chunks, and whether its sender waits for a word."""
    length = hosts = 0
    chunked = expects_continue = False
    for name, value in fields:
        if name not in _FRAMING:
            continue
        if name == b"host":
            hosts += 1
        elif name == b"content-length":
            length = int(value)
        elif name == b"expect":
            expects_continue = value.lower() == b"100-continue"
        elif value.lower() != b"chunked" or version == "1.0":
            raise MalformedError("no transfer coding but chunked is understood")
        else:
            chunked = True
    if hosts != 1 and (hosts or version != "1.0"):
        raise MalformedError("a request has one Host header")
    return length, chunked, expects_continue


def _split(url: bytes) -> tuple[str, bytes, bytes]:
    parts = httptools.parse_url(url)
    raw_path: bytes = parts.path or b"/"
    path = raw_path.decode("ascii")
    return unquote(path) if "%" in path else path, raw_path, parts.query or b""


# Clients send to the same few paths.
_known = lru_cache(128)(_split)
