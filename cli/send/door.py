"""The collector over HTTP, as any client meets it: one request at a time, until each event has a verdict.

An event that should be sent again is, until the deadline. Sending twice is harmless: every event has its id.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from cli.tail.safe_text import shown
from core.errors import ConfigError, RefusedError, UnavailableError

_PATH = "/api/v1/tracking/collect/"
_MAX_EVENTS = 500
# Half of what a collector takes by default.
_MAX_BYTES = 512 * 1024
_PAUSE_S = 0.2
_CONNECT_TIMEOUT_S = 5.0
# Longer than the collector itself waits for Kafka (15 s), so that its answer is heard rather than guessed.
_READ_TIMEOUT_S = 30.0


class Verdict(msgspec.Struct, frozen=True):
    """What the collector says about one event."""

    verdict: str
    code: str = ""
    field: str = ""
    message: str = ""


class _Answer(msgspec.Struct, frozen=True):
    events: list[Verdict]


class _Problem(msgspec.Struct, frozen=True):
    code: str = ""
    title: str = ""
    detail: str = ""


class Door:
    """One collector, one key."""

    def __init__(self, collector_url: str, *, key: str) -> None:
        self._url = collector_url.rstrip("/")
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "User-Agent": "sluice-send",
        }
        timeout = urllib3.Timeout(connect=_CONNECT_TIMEOUT_S, read=_READ_TIMEOUT_S)
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=1, retries=False, timeout=timeout)

    def send(self, bodies: Sequence[bytes], *, deadline: float) -> list[Verdict]:
        """A verdict for each; `retry` for what was not taken until `deadline` (monotonic).

        Raises:
            UnavailableError: nothing answers.
            ConfigError: the key is not known, or what answers is no collector.
            RefusedError: the request as a whole will never be taken.
        """
        verdicts: list[Verdict] = []
        for chunk in _chunks(bodies):
            verdicts += self._settled(chunk, deadline)
        return verdicts

    def _settled(self, chunk: Sequence[bytes], deadline: float) -> list[Verdict]:
        verdicts = self._post(chunk)
        while again := [at for at, verdict in enumerate(verdicts) if verdict.verdict == "retry"]:
            if time.monotonic() + _PAUSE_S > deadline:
                break
            time.sleep(_PAUSE_S)
            for at, verdict in zip(again, self._post([chunk[at] for at in again]), strict=True):
                verdicts[at] = verdict
        return verdicts

    def _post(self, chunk: Sequence[bytes]) -> list[Verdict]:
        body = b"[" + b",".join(chunk) + b"]"
        try:
            answer = self._pool.request("POST", self._url + _PATH, body=body, headers=self._headers, redirect=False)
        except HTTPError as error:
            raise UnavailableError(
                f"no collector answers at {self._url} ({type(error).__name__})",
                hint="Is the stack running? SLUICE_STATE_DIR or SLUICE_COLLECTOR_URL says which one is meant.",
            ) from error
        if answer.status == 413 and len(chunk) > 1:
            middle = len(chunk) // 2
            return self._post(chunk[:middle]) + self._post(chunk[middle:])
        return self._verdicts(answer, len(chunk))

    def _verdicts(self, answer: urllib3.BaseHTTPResponse, sent: int) -> list[Verdict]:
        if answer.status in {200, 503} and (found := _decoded(answer.data, sent)):
            return found
        problem = _problem(answer)
        cause = shown(f"HTTP {answer.status} {problem.detail or problem.title}".strip())
        if answer.status == 413:
            return [Verdict("rejected", problem.code or "too_large", "", problem.detail)]
        if answer.status in {401, 403}:
            raise ConfigError(
                f"the collector at {self._url} does not accept the tracking key ({cause})",
                hint="Give the file of a valid one with --key-file.",
            )
        if answer.status == 429 or answer.status >= 500:
            return [Verdict("retry", message=cause)] * sent
        if answer.status < 400 or answer.status in {404, 405}:
            raise ConfigError(
                f"what answers at {self._url} is no Sluice collector ({cause})",
                hint="SLUICE_COLLECTOR_URL or --collector says where one is.",
            )
        raise RefusedError(f"the collector refused the request: {cause}")


def _chunks(bodies: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    start = size = 0
    for at, body in enumerate(bodies):
        if at > start and (at - start == _MAX_EVENTS or size + len(body) > _MAX_BYTES):
            yield bodies[start:at]
            start, size = at, 0
        size += len(body)
    yield bodies[start:]


def _decoded(data: bytes, sent: int) -> list[Verdict]:
    try:
        found = msgspec.json.decode(data, type=_Answer).events
    except msgspec.DecodeError:
        return []
    return found if len(found) == sent else []


def _problem(answer: urllib3.BaseHTTPResponse) -> _Problem:
    try:
        return msgspec.json.decode(answer.data, type=_Problem)
    except msgspec.DecodeError:
        return _Problem(title=answer.reason or "")
