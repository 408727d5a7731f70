"""Sessions: an engine connection that outlives a request, found by user and `session_id`, held by one at a time.

A session ends when nobody used it for the time its last request asked for. What a request sets on the connection and
takes back again is decided in `connection`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from infra.clickhouse.engine import Link
from infra.clickhouse.errors import ClickHouseError
from infra.clickhouse.request import SessionRequest

log = logging.getLogger(__name__)

# A client's next request may overtake the last byte of the one before; longer is two clients with one session.
_LOCK_WAIT_SECONDS: Final = 0.5
# Each holds an engine connection. Past this the longest idle one ends early.
MAX_SESSIONS: Final = 1000


@dataclass(slots=True)
class Session:
    link: Link
    seconds: float = 60.0
    database: str = "default"
    expires: float = float("inf")
    broken: bool = False  # a setting could not be taken back; the next request must not inherit it
    lock: threading.Lock = field(default_factory=threading.Lock)


class Sessions:
    def __init__(self, make_link: Callable[[], Link], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._make_link = make_link
        self._clock = clock
        self._open: dict[tuple[str, str], Session] = {}
        self._guard = threading.Lock()

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def hold(self, wanted: SessionRequest, *, user: str) -> Iterator[Session]:
        """Raises SESSION_NOT_FOUND with `must_exist`, SESSION_IS_LOCKED when another request holds it."""
        key = (user, wanted.id)
        session = self._take(key, wanted)
        try:
            yield session
        finally:
            session.seconds = wanted.seconds
            session.expires = self._clock() + wanted.seconds
            if wanted.close or session.broken:
                self._end(key, session)
            session.lock.release()

    def sweep(self) -> int:
        """End what has expired; returns how many ended."""
        now = self._clock()
        with self._guard:
            over = [key for key, session in self._open.items() if session.expires <= now and not session.lock.locked()]
            ended = [self._open.pop(key) for key in over]
        for session in ended:
            session.link.close()
        return len(ended)

    def close(self) -> None:
        with self._guard:
            ended = list(self._open.values())
            self._open.clear()
        for session in ended:
            session.link.close()

    def _take(self, key: tuple[str, str], wanted: SessionRequest) -> Session:
        self.sweep()
        with self._guard:
            session = self._open.get(key)
            if session is None:
                if wanted.must_exist:
                    raise ClickHouseError(372, "SESSION_NOT_FOUND", f"Session {wanted.id} not found")
                session = Session(self._make_link())
                self._open[key] = session
                self._evict_idle()
            taken = session.lock.acquire(blocking=False)
        if not taken and not session.lock.acquire(timeout=_LOCK_WAIT_SECONDS):
            raise ClickHouseError(373, "SESSION_IS_LOCKED", f"Session {wanted.id} is locked by a concurrent client")
        if self._open.get(key) is not session:  # it ended while we waited
            session.lock.release()
            return self._take(key, wanted)
        session.expires = float("inf")
        return session

    def _evict_idle(self) -> None:
        if len(self._open) <= MAX_SESSIONS:
            return
        idle = [(session.expires, key) for key, session in self._open.items() if not session.lock.locked()]
        idle = [(expires, key) for expires, key in idle if expires != float("inf")]
        if idle:
            _, key = min(idle)
            self._open.pop(key).link.close()
            log.warning("clickhouse.session_evicted", extra={"sessions": MAX_SESSIONS})

    def _end(self, key: tuple[str, str], session: Session) -> None:
        with self._guard:
            if self._open.get(key) is session:
                del self._open[key]
        session.link.close()
