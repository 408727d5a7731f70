"""Rate limits: which buckets a request is charged to, and how many requests each lets pass a minute.

- a key's requests from one client (`limit_client_per_minute`, or what the key itself says)
- all requests of a key, all requests of a tenant (off unless set)
- keys that are refused, per client
- wrong secrets of one key from one client: used up, that key answers that client as if it did not exist

A client is an IPv4 address or the /64 that an IPv6 address lies in, because every address of it may be one machine's.
Addresses are in memory and, as keyed hashes, in the table; nowhere else.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from collector.key_text import Pepper
from collector.keys import Grant
from collector.limit_table import Bucket, LimitTable
from core import metrics
from core.settings import Settings

# Its number is that of the file's form.
FILE = ".limits-1"
WINDOW_S = 60
_WINDOW = WINDOW_S * 10**9
# A person who copies a key tries a few times; a program that guesses tries millions.
GUESSES_PER_MINUTE = 10
# Of admin tokens, per client: an operator who mistypes waits seconds.
ADMIN_PER_MINUTE = 10
# What is remembered to spare hashing. Emptied when full, so a million addresses take no more.
_REMEMBERED = 8_192

LimitName = Literal["client", "key", "tenant", "refused", "guess", "admin"]


class Exceeded(NamedTuple):
    """A limit that is used up: its name, requests a minute, and seconds until the next one passes."""

    limit: LimitName
    per_minute: int
    retry_after_s: int


class Limits:
    """One a process, over a table that all processes of the host share. All calls belong to one thread."""

    def __init__(
        self,
        settings: Settings,
        *,
        table: LimitTable,
        pepper: Pepper,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._per_client = settings.limit_client_per_minute
        self._per_key = settings.limit_key_per_minute
        self._per_tenant = settings.limit_tenant_per_minute
        self._refused = settings.limit_refused_per_minute
        self._table = table
        self._pepper = pepper
        self._now = clock
        self._buckets: dict[tuple[Grant, str], tuple[tuple[LimitName, Bucket], ...]] = {}
        self._limited = metrics.counter("sluice_collector_limited_requests_total")
        metrics.gauge("sluice_collector_limit_evictions").set_function(lambda: table.evicted)
        metrics.gauge("sluice_collector_limit_unlocked").set_function(lambda: table.unlocked)

    @classmethod
    def shared(cls, settings: Settings, *, pepper: Pepper) -> Limits:
        """Over the file in the state folder.

        Raises:
            StateError: it cannot be made.
        """
        return cls(settings, table=LimitTable(Path(settings.state_dir) / FILE), pepper=pepper)

    def close(self) -> None:
        self._table.close()

    def take(self, grant: Grant, address: str) -> Exceeded | None:
        """Charge a request of a key that works."""
        named = self._buckets.get((grant, address)) or self._named(grant, address)
        if not named:
            return None
        wait, which = self._table.take([bucket for _, bucket in named], self._now())
        return self._exceeded(*named[which], wait) if wait else None

    def refuse(self, address: str, *, guessed_id: str = "") -> Exceeded | None:
        """Charge a key that does not work; of `guessed_id` everything but the id may be wrong."""
        exceeded = None
        if guessed_id:
            self._table.last_guess = self._now()
            exceeded = self._take("guess", GUESSES_PER_MINUTE, _both(guessed_id, address))
        if self._refused:
            return exceeded or self._take("refused", self._refused, client_of(address))
        return exceeded

    def guessed(self, key_id: str, address: str) -> Exceeded | None:
        """Whether this client has guessed so much that not even the right secret is told from a wrong one."""
        # Hardly ever is there a guess to look for.
        if not 0 <= self._now() - self._table.last_guess < _WINDOW:
            return None
        return self._look("guess", GUESSES_PER_MINUTE, _both(key_id, address))

    def refuse_admin(self, address: str) -> None:
        self._take("admin", ADMIN_PER_MINUTE, client_of(address))

    def admin(self, address: str) -> Exceeded | None:
        """Whether this client has tried too many tokens. Charges nothing."""
        return self._look("admin", ADMIN_PER_MINUTE, client_of(address))

    def _named(self, grant: Grant, address: str) -> tuple[tuple[LimitName, Bucket], ...]:
        client = self._per_client if grant.requests_per_minute is None else grant.requests_per_minute
        wanted: tuple[tuple[LimitName, str, int], ...] = (
            ("client", _both(grant.key_id, address), client),
            ("key", grant.key_id, self._per_key),
            ("tenant", grant.tenant, self._per_tenant),
        )
        named = tuple((name, self._bucket(name, whose, rate)) for name, whose, rate in wanted if rate)
        if len(self._buckets) >= _REMEMBERED:
            self._buckets.clear()
        self._buckets[grant, address] = named
        return named

    def _take(self, name: LimitName, rate: int, whose: str) -> Exceeded | None:
        bucket = self._bucket(name, whose, rate)
        wait, _ = self._table.take((bucket,), self._now())
        return self._exceeded(name, bucket, wait) if wait else None

    def _look(self, name: LimitName, rate: int, whose: str) -> Exceeded | None:
        bucket = self._bucket(name, whose, rate)
        wait = self._table.wait(bucket, self._now())
        return self._exceeded(name, bucket, wait) if wait else None

    def _bucket(self, name: LimitName, whose: str, per_minute: int) -> Bucket:
        # The rate is part of the name: a key whose limit was changed begins anew.
        return Bucket(self._pepper.hash(f"limit {name} {per_minute} {whose}")[:16], _WINDOW // per_minute, _WINDOW)

    def _exceeded(self, name: LimitName, bucket: Bucket, wait: int) -> Exceeded:
        self._limited.labels(name).inc()
        return Exceeded(name, _WINDOW // bucket.interval, max(1, -(-wait // 10**9)))


def _both(key_id: str, address: str) -> str:
    return f"{key_id} {client_of(address)}"


@lru_cache(_REMEMBERED)
def client_of(address: str) -> str:
    """Who is limited together."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return f"{int(parsed) >> 64:x}/64"
    return str(parsed)
