"""Errors of a whole request and how they look on the wire (RFC 9457 problem+json).

    RequestError              400  the request cannot be understood; `code` says what is wrong
    ├── UnauthorizedError     401  no tracking key that works
    ├── TenantMismatchError   403  the key works, for another tenant
    ├── OriginError           403  the key works, on other pages
    ├── BrowserKeyError       403  the key works, and is too secret for where it stands
    ├── NotFoundError         404
    ├── MethodError           405
    ├── ConflictError         409  what is asked for does not go with what is there
    ├── BodyTimeoutError      408  the body did not arrive in time
    ├── TooLargeError         413  body, event or number of events above a limit
    ├── UriTooLongError       414
    ├── EncodingError         415  a Content-Encoding that is not known, or several
    ├── HeadTooLargeError     431  request line and headers above a limit
    ├── MalformedError        400  not HTTP, or HTTP that two readers may understand differently
    ├── RateLimitedError      429  too many requests of a client, a key or a tenant
    ├── OverloadedError       503  too many connections, or too much of unfinished bodies
    └── NotNowError           503  the same request may work after `Retry-After`

An error of one event among others is no problem but a verdict: see `collector.verdicts`.
"""

from __future__ import annotations

import msgspec

from core.errors import SluiceError

Headers = list[tuple[bytes, bytes]]
PROBLEM_JSON = b"application/problem+json"


class RequestError(SluiceError):
    """`field` is the JSON path of the culprit; `close` says that the connection cannot be used any further."""

    code = "bad_request"
    title = "Bad request"
    http_status = 400
    headers: tuple[tuple[bytes, bytes], ...] = ()
    close = False

    def __init__(self, message: str, *, code: str = "", field: str | None = None) -> None:
        super().__init__(message)
        self.code = code or self.code
        self.field = field


class UnauthorizedError(RequestError):
    code = "unauthorized"
    title = "Unauthorized"
    http_status = 401
    headers = ((b"www-authenticate", b'Bearer realm="sluice"'),)


class TenantMismatchError(RequestError):
    code = "tenant_mismatch"
    title = "Forbidden"
    http_status = 403


class OriginError(RequestError):
    code = "origin_not_allowed"
    title = "Forbidden"
    http_status = 403


class BrowserKeyError(RequestError):
    code = "browser_key_required"
    title = "Forbidden"
    http_status = 403


class NotFoundError(RequestError):
    code = "not_found"
    title = "Not found"
    http_status = 404


class MethodError(RequestError):
    code = "method_not_allowed"
    title = "Method not allowed"
    http_status = 405

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message)
        self.headers = ((b"allow", allow.encode("ascii")),)


class BodyTimeoutError(RequestError):
    code = "body_timeout"
    title = "Request timeout"
    http_status = 408
    close = True


class ConflictError(RequestError):
    code = "conflict"
    title = "Conflict"
    http_status = 409


class TooLargeError(RequestError):
    code = "too_large"
    title = "Content too large"
    http_status = 413


class UriTooLongError(RequestError):
    code = "uri_too_long"
    title = "URI too long"
    http_status = 414
    close = True


class HeadTooLargeError(RequestError):
    code = "head_too_large"
    title = "Request header fields too large"
    http_status = 431
    close = True


class MalformedError(RequestError):
    code = "malformed_request"
    close = True


class RateLimitedError(RequestError):
    """Named as in the IETF draft on RateLimit header fields (draft-ietf-httpapi-ratelimit-headers-10)."""

    code = "rate_limited"
    title = "Too many requests"
    http_status = 429

    def __init__(self, message: str, *, limit: str, per_minute: int, retry_after_s: int) -> None:
        super().__init__(f"{message}; {limit}: {per_minute} a minute")
        self.headers = (
            (b"retry-after", b"%d" % retry_after_s),
            (b"ratelimit-policy", b'"%s";q=%d;w=60' % (limit.encode(), per_minute)),
            (b"ratelimit", b'"%s";r=0;t=%d' % (limit.encode(), retry_after_s)),
        )


class OverloadedError(RequestError):
    code = "overloaded"
    title = "Service unavailable"
    http_status = 503
    retryable = True
    headers = ((b"retry-after", b"1"),)
    close = True


class EncodingError(RequestError):
    code = "unsupported_encoding"
    title = "Unsupported media type"
    http_status = 415
    # RFC 9110 section 15.5.16: say what would have been understood.
    headers = ((b"accept-encoding", b"gzip, deflate, br, zstd"),)


class NotNowError(RequestError):
    code = "unavailable"
    title = "Service unavailable"
    http_status = 503

    def __init__(self, message: str, *, retry_after_s: int, code: str = "") -> None:
        super().__init__(message, code=code)
        self.headers = ((b"retry-after", b"%d" % retry_after_s),)


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457. `field` is the JSON path of the culprit."""

    code: str
    title: str
    status: int
    detail: str
    field: str | None = None


INTERNAL = Problem("internal", "Internal server error", 500, "The collector failed; the request may be sent again.")


def render(error: RequestError) -> tuple[int, Headers, bytes]:
    """Status, headers and body of the answer."""
    problem = Problem(error.code, error.title, error.http_status, error.message, error.field)
    return _render(problem, [*error.headers, (b"connection", b"close")] if error.close else [*error.headers])


def render_internal() -> tuple[int, Headers, bytes]:
    """The answer to a request that hit a bug of ours. Says nothing about it: the log does."""
    return _render(INTERNAL, [(b"connection", b"close")])


def _render(problem: Problem, headers: Headers) -> tuple[int, Headers, bytes]:
    body = msgspec.json.encode(problem)
    length = (b"content-length", str(len(body)).encode("ascii"))
    return problem.status, [(b"content-type", PROBLEM_JSON), length, *headers], body
