"""Which event, visitor and session a log line is: ids that come out the same however often the log is read.

Every answer depends only on the lines before it in the same source, so appending to a log, or cutting it into rotated
files that are read in order, changes nothing. Memory is bounded by time and by number of visitors, and the bounds are
part of the rules: changing them may change ids, which doubles events.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from datetime import datetime

from core import ids

SESSION_GAP_SECONDS = 30 * 60
# Identical lines carry the same second, so a repetition is near: a request's line is written when it ends, and one
# that ran over two hours and has a twin that did not is numbered as a copy of it.
HOURS_REMEMBERED = 3
# About 100 MB. A visitor who returns within 30 minutes, but after this many others, starts a new session.
VISITORS_REMEMBERED = 200_000
# Late lines may fall into an earlier session; a log that is put together from several goes back further.
SESSIONS_REMEMBERED = 8


class LineIds:
    """Event ids: (source, bytes of the line, n-th occurrence of that line in the source)."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._hours: OrderedDict[datetime, dict[str, int]] = OrderedDict()

    def event_id(self, line: bytes, *, at: datetime) -> str:
        # Latin-1 maps each byte to one character: two different lines never become the same text.
        text = line.decode("latin-1")
        first = ids.derived(ids.LOG_LINE, self._source, text, "1")
        seen = self._hour(at)
        occurrence = seen[first] = seen.get(first, 0) + 1
        return first if occurrence == 1 else ids.derived(ids.LOG_LINE, self._source, text, str(occurrence))

    def _hour(self, at: datetime) -> dict[str, int]:
        hour = at.replace(minute=0, second=0, microsecond=0)
        seen = self._hours.get(hour)
        if seen is None:
            seen = self._hours[hour] = {}
            if len(self._hours) > HOURS_REMEMBERED:
                self._hours.popitem(last=False)
        else:
            self._hours.move_to_end(hour)
        return seen


class Occurrences:
    """Event ids by the same rule for lines without a time: about 100 MB a million different lines."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._seen: dict[bytes, int] = {}

    def event_id(self, line: bytes) -> str:
        key = hashlib.blake2b(line, digest_size=16).digest()
        occurrence = self._seen[key] = self._seen.get(key, 0) + 1
        return ids.derived(ids.LOG_LINE, self._source, line.decode("latin-1"), str(occurrence))


class _Session:
    __slots__ = ("first", "id", "last")

    def __init__(self, id_: str, at: float) -> None:
        self.id = id_
        self.first = self.last = at


class _Visitor:
    __slots__ = ("id", "sessions")

    def __init__(self, id_: str) -> None:
        self.id = id_
        self.sessions: list[_Session] = []


class Visitors:
    """Visitors by (address, user agent), and their sessions by 30 minutes of inactivity within one source.

    A session is named by the line that opened it. A late line joins the session it falls into, or opens one of its
    own; sessions that it would bridge stay apart, because the events before it are already sent.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._visitors: OrderedDict[tuple[str, str], _Visitor] = OrderedDict()

    def identify(self, address: str, user_agent: str, *, at: datetime) -> tuple[str, str]:
        """Visitor id and session id. The address does not leave this class."""
        key = (address, user_agent)
        visitor = self._visitors.get(key)
        if visitor is None:
            visitor = self._visitors[key] = _Visitor(ids.derived(ids.VISITOR, address, user_agent))
            if len(self._visitors) > VISITORS_REMEMBERED:
                self._visitors.popitem(last=False)
        else:
            self._visitors.move_to_end(key)
        return visitor.id, self._session(visitor, at.timestamp())

    def _session(self, visitor: _Visitor, at: float) -> str:
        for session in reversed(visitor.sessions):
            if session.first - SESSION_GAP_SECONDS <= at <= session.last + SESSION_GAP_SECONDS:
                session.first = min(session.first, at)
                session.last = max(session.last, at)
                return session.id
        session = _Session(ids.derived(ids.SESSION, self._source, visitor.id, str(int(at))), at)
        visitor.sessions.append(session)
        del visitor.sessions[:-SESSIONS_REMEMBERED]
        return session.id
