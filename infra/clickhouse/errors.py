"""Errors in ClickHouse's own form, and the HTTP status each code has on a real server.

    ClickHouseError    what the client reads: code, name, message
    ClientGoneError    nobody is left to answer; never rendered

The table of statuses follows the server's `exceptionCodeToHTTPStatus`; what it does not list is 500. Which statements
are refused is decided in `guards`, not here.
"""

from __future__ import annotations

import re
from typing import Final

SOCKET_TIMEOUT: Final = 209  # the client sent nothing for too long: nothing of it is waited for any more

BAD_REQUEST: Final = frozenset({
    6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223, 321, 376, 427, 441, 675, 676,
})  # fmt: skip
NOT_FOUND: Final = frozenset({46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511})
OTHER_STATUS: Final = {
    48: 501,  # NOT_IMPLEMENTED
    76: 503,  # CANNOT_OPEN_FILE
    159: 408,  # TIMEOUT_EXCEEDED
    192: 403,  # UNKNOWN_USER
    193: 403,  # WRONG_PASSWORD
    194: 401,  # REQUIRED_PASSWORD
    202: 503,  # TOO_MANY_SIMULTANEOUS_QUERIES; a real server says 500, but clients only retry on 503
    SOCKET_TIMEOUT: 408,  # while reading the request: the client was slow, not the server
    229: 413,  # QUERY_IS_TOO_LARGE
    372: 404,  # SESSION_NOT_FOUND
    381: 411,  # HTTP_LENGTH_REQUIRED
    439: 503,  # CANNOT_SCHEDULE_TASK
    497: 403,  # ACCESS_DENIED
    512: 403,  # SET_NON_GRANTED_ROLE
    516: 403,  # AUTHENTICATION_FAILED
    779: 415,  # UNSUPPORTED_MEDIA_TYPE
}

_ENGINE_ERROR = re.compile(r"Code: (\d+)\. DB::Exception: ")
_ENGINE_NAME = re.compile(r"\(([A-Z][A-Z0-9_]+)\)(?: \(version [^)]*\))?\s*$")
_VERSION_TAIL = re.compile(r"\s*\(version [^)]*\)\s*$")
_STD_EXCEPTION = re.compile(r"(?:std::exception\. )?Code: (\d+), type: ")


class ClientGoneError(Exception):
    """The client closed its connection, or stopped reading for longer than we wait."""


class ClickHouseError(Exception):
    """One error as the client sees it. `status` overrides the table for what the engine has no status for."""

    def __init__(self, code: int, name: str, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.name = name
        self.message = message
        self.status = status if status is not None else http_status(code)

    def render(self, version: str) -> bytes:
        text = f"Code: {self.code}. DB::Exception: {self.message.rstrip()}"
        if not text.endswith(f"({self.name})"):
            text = f"{text} ({self.name})"
        return f"{text} (version {version} (sluice embedded))\n".encode("utf-8", "replace")


def http_status(code: int) -> int:
    if code in BAD_REQUEST:
        return 400
    if code in NOT_FOUND:
        return 404
    return OTHER_STATUS.get(code, 500)


def from_engine(error: BaseException) -> ClickHouseError:
    """What the engine raised, with chDB's own words before the first `Code:` cut off."""
    text = str(error)
    if found := _ENGINE_ERROR.search(text):
        body = _VERSION_TAIL.sub("", text[found.end() :])
        name = _ENGINE_NAME.search(body)
        return ClickHouseError(int(found[1]), name[1] if name else "UNKNOWN_EXCEPTION", body)
    if found := _STD_EXCEPTION.search(text):
        # A library inside the engine failed on what it was given (a torn Avro file, for one).
        return ClickHouseError(int(found[1]), "STD_EXCEPTION", _VERSION_TAIL.sub("", text[found.start() :]))
    return ClickHouseError(1002, "UNKNOWN_EXCEPTION", text or type(error).__name__)
