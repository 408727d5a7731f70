"""The collector's answers, decoded: what each status and body means for the events of a request.

Decides what an answer means, not what to do next: waiting and sending again are the sender's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

import msgspec
import urllib3
from urllib3.exceptions import InvalidHeader
from urllib3.util.retry import Retry

from core.errors import ConfigError, RefusedError

_TRANSIENT = frozenset({408, 425, 429})


class Verdict(msgspec.Struct, frozen=True):
    """What the collector says about one event."""

    verdict: Literal["accepted", "rejected", "consent_dropped", "retry"]
    code: str | None = None
    field: str | None = None
    message: str | None = None


class _Body(msgspec.Struct, frozen=True):
    events: list[Verdict]


class _Problem(msgspec.Struct, frozen=True):
    """RFC 9457, as far as a person reads it."""

    title: str = ""
    detail: str = ""


class Outcome(Enum):
    JUDGED = "judged"
    """Each event has a verdict."""
    LATER = "later"
    """None has; the same request may work later."""
    TOO_LARGE = "too_large"
    """A smaller request may work."""


@dataclass(frozen=True, slots=True)
class Answer:
    outcome: Outcome
    verdicts: tuple[Verdict, ...] = ()
    """In the order of the request."""
    retry_after: float = 0.0
    """Seconds."""
    cause: str = ""
    """Why not now, for people."""


def interpret(response: urllib3.BaseHTTPResponse, *, url: str, sent: int, tenant: str = "") -> Answer:
    """What `response` to a request with `sent` events means.

    Raises:
        ConfigError: the key is not accepted or not one of `tenant`, or `url` is not that of a collector.
        RefusedError: the collector will never take this request.
    """
    if response.status in (200, 503) and (verdicts := _verdicts(response.data, sent)):
        return Answer(Outcome.JUDGED, verdicts, _retry_after(response), _cause(response))
    if response.status in _TRANSIENT or response.status >= 500:
        return Answer(Outcome.LATER, (), _retry_after(response), _cause(response))
    if response.status == 413:
        return Answer(Outcome.TOO_LARGE)
    if response.status == 403 and tenant:
        raise ConfigError(
            f"the tracking key is not one of tenant {tenant!r} ({_cause(response)})",
            hint="Name the tenant of the key with --tenant, or give the file of another key with --key-file.",
        )
    if response.status in (401, 403):
        raise ConfigError(
            f"the collector at {url} does not accept the tracking key ({_cause(response)})",
            hint="Give the file of a valid key with --key-file.",
        )
    if response.status < 400 or response.status in (404, 405):
        raise ConfigError(
            f"what answers at {url} is no Sluice collector ({_cause(response)})",
            hint="Give its address with --url.",
        )
    raise RefusedError(f"the collector refused a request: {_cause(response)}")


def _verdicts(body: bytes, sent: int) -> tuple[Verdict, ...]:
    try:
        verdicts = tuple(msgspec.json.decode(body, type=_Body).events)
    except msgspec.DecodeError:
        return ()
    return verdicts if len(verdicts) == sent else ()


def _retry_after(response: urllib3.BaseHTTPResponse) -> float:
    header = response.headers.get("Retry-After")
    if header is None:
        return 0.0
    try:
        return Retry().parse_retry_after(header)
    except InvalidHeader:
        return 0.0


def _cause(response: urllib3.BaseHTTPResponse) -> str:
    try:
        problem = msgspec.json.decode(response.data, type=_Problem)
    except msgspec.DecodeError:
        problem = _Problem()
    text = problem.detail or problem.title or (response.reason or "")
    return f"{response.status} {text}".strip()
