"""Sends events to the collector until each is settled: one request at a time, in order, with backoff between tries.

Sending an event twice is harmless: its id is derived from its log line, and repeats are absorbed downstream. So
whenever it is unclear whether a request arrived, it is sent again.
"""

from __future__ import annotations

import random
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import urllib3
from urllib3.exceptions import HTTPError, LocationParseError, SSLError
from urllib3.util import parse_url

from cli.importer.answers import Answer, Outcome, Verdict, interpret
from cli.importer.pacing import TokenBucket
from core.clock import Clock, SystemClock
from core.errors import ConfigError, UnavailableError

COLLECT_PATH = "/api/v1/tracking/collect/"
# A collector that drops us at a restart is back in seconds: begin fast, but do not hammer one that stays away.
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 10.0
CONNECT_TIMEOUT_SECONDS = 5.0
# Longer than the collector itself waits for Kafka (15 s), so that its answer is heard rather than guessed.
READ_TIMEOUT_SECONDS = 30.0
_GZIP_WBITS = 31  # zlib's code for "with gzip header"
_TOO_LARGE = Verdict("rejected", "too_large", "", "the collector's limit is smaller than this event")


@dataclass(frozen=True, slots=True)
class Sending:
    """Options of sending: events a request, and seconds without any progress after which the import gives up.

    `tenant`, if it is given, must be that of the key. `rate` is in events a second, 0 for as fast as it goes.
    """

    batch_events: int = 1_000
    max_wait: float = 300.0
    tenant: str = ""
    rate: float = 0.0
    clock: Clock = field(default_factory=SystemClock)

    @property
    def request_events(self) -> int:
        """Most events of one request: with a rate, a tenth of a second's, so that they flow evenly."""
        return min(self.batch_events, max(1, round(self.rate / 10))) if self.rate else self.batch_events


class Sender:
    """A connection to one collector. `stop` cuts waiting short; `on_wait` hears why it waits.

    Raises:
        ConfigError: `collector_url` or `key` is none.
    """

    def __init__(
        self,
        collector_url: str,
        *,
        key: str,
        sending: Sending,
        stop: threading.Event,
        on_wait: Callable[[str], None],
    ) -> None:
        if not (key.isascii() and key.isprintable() and key.strip()):
            raise ConfigError("the tracking key is empty or holds characters that no key has")
        _check_address(collector_url)
        self._base_url = collector_url
        self._url = collector_url.rstrip("/") + COLLECT_PATH
        self._sending = sending
        self._frame_start = _frame_start(sending.tenant)
        self._bucket = (
            TokenBucket(sending.rate, burst=sending.request_events, clock=sending.clock) if sending.rate else None
        )
        self._stop = stop
        self._on_wait = on_wait
        self._headers = {
            "Authorization": f"Bearer {key.strip()}",
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "User-Agent": "sluice-import",
        }
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=READ_TIMEOUT_SECONDS)
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=1, retries=False, timeout=timeout)

    def deliver(self, events: Sequence[bytes]) -> Iterator[list[tuple[int, Verdict]]]:
        """Send `events` (JSON each). Gives, an answer at a time, the final verdicts by index; ends early on `stop`.

        Raises:
            UnavailableError: nothing was settled for `max_wait` seconds.
            ConfigError, RefusedError: sending again would not help.
        """
        chunks = deque([list(range(len(events)))] if events else [])
        deadline, tries = self._deadline(), 0
        while chunks:
            chunk = chunks.popleft()
            if not self._paced(len(chunk)):
                return
            answer = self._post([events[index] for index in chunk])
            if answer.outcome is Outcome.TOO_LARGE and len(chunk) > 1:
                middle = len(chunk) // 2
                chunks.extendleft((chunk[middle:], chunk[:middle]))
                continue
            settled, left = _split(chunk, answer)
            if settled:
                yield settled
                deadline, tries = self._deadline(), 0
            if left:
                chunks.appendleft(left)
                if not self._pause(answer, tries, deadline):
                    return
                tries += 1

    def close(self) -> None:
        self._pool.clear()

    def _paced(self, events: int) -> bool:
        """Wait until so many events may be sent; False when told to stop."""
        pause = self._bucket.take(events) if self._bucket else 0.0
        return not (pause and self._stop.wait(pause))

    def _deadline(self) -> float:
        return self._sending.clock.monotonic() + self._sending.max_wait

    def _pause(self, answer: Answer, tries: int, deadline: float) -> bool:
        """Wait before the next try; False when told to stop."""
        backoff = min(FIRST_PAUSE_SECONDS * 2.0 ** min(tries, 16), LONGEST_PAUSE_SECONDS)
        # Jitter keeps several imports from coming back in step.
        jittered = backoff * random.uniform(0.5, 1.0)  # noqa: S311 (spreads load, guards nothing)
        pause = max(answer.retry_after, jittered)
        if self._stop.is_set():
            return False
        if self._sending.clock.monotonic() + pause > deadline:
            raise UnavailableError(
                f"the collector at {self._base_url} took nothing for {self._sending.max_wait:g} s: {answer.cause}",
                hint="Running the same import again continues it without doubling anything.",
            )
        self._on_wait(answer.cause)
        return not self._stop.wait(pause)

    def _post(self, events: Sequence[bytes]) -> Answer:
        try:
            response = self._pool.request(
                "POST", self._url, body=_gzip(self._frame(events)), headers=self._headers, redirect=False
            )
        except SSLError as error:
            raise ConfigError(f"no secure connection to {self._base_url}: {error}") from error
        except HTTPError as error:
            return Answer(Outcome.LATER, cause=f"no answer ({type(error).__name__})")
        return interpret(response, url=self._base_url, sent=len(events), tenant=self._sending.tenant)

    def _frame(self, events: Sequence[bytes]) -> bytes:
        return self._frame_start + b",".join(events) + b"]}"


def _check_address(url: str) -> None:
    try:
        parts = parse_url(url)
    except LocationParseError:
        parts = parse_url("")
    if parts.scheme not in ("http", "https") or not parts.host:
        raise ConfigError(f"{url!r} is no address of a collector", hint="It looks like http://127.0.0.1:8000.")


def _split(chunk: list[int], answer: Answer) -> tuple[list[tuple[int, Verdict]], list[int]]:
    """What `answer` settles of `chunk`, and what is to be sent again."""
    match answer.outcome:
        case Outcome.TOO_LARGE:
            return [(index, _TOO_LARGE) for index in chunk], []
        case Outcome.LATER:
            return [], chunk
        case Outcome.JUDGED:
            judged = list(zip(chunk, answer.verdicts, strict=True))
            settled = [pair for pair in judged if pair[1].verdict != "retry"]
            return settled, [index for index, verdict in judged if verdict.verdict == "retry"]


def _frame_start(tenant: str) -> bytes:
    # Historical: the time of each event is taken as it is.
    named = b'"tenant":' + msgspec.json.encode(tenant) + b"," if tenant else b""
    return b'{"historical":true,' + named + b'"events":['


def _gzip(body: bytes) -> bytes:
    # Level 1 takes log lines to a tenth already; higher levels cost more than the network gains.
    compressor = zlib.compressobj(1, zlib.DEFLATED, _GZIP_WBITS)
    return compressor.compress(body) + compressor.flush()
