"""A session for events whose client sent none.

The rule: one session a visitor and UTC day of `occurred_at`. A stand-in that is the same on every worker, in any
order of arrival, and on a replay from any point, which leaves only rules that look at one event:

- 30 minutes of inactivity is what analysts mean, but needs all earlier events of the visitor. After a replay that
  starts in the middle, a late event or a moved partition, the same event would be in another session.
- A shorter fixed slice cuts visits in two: of visits of 8 minutes, every seventh by the hour and every fourth by the
  half hour. The second half has lost its campaign, and its entry page is none.
- A day cuts a visit at midnight UTC only. It puts visits of one day together; they can be told apart in a query, by
  visitor and time, because none of them was torn.

The id is a version-5 UUID, as all derived ids (`core/ids.py`). It is frozen: another rule is another session.
"""

from __future__ import annotations

from collections.abc import Sequence

from core import ids
from streams.enrich.facts import Facts
from streams.enrich.memo import Memo

_DAY_MS = 86_400_000
# Visitors without a session of their own, at work at the same time. Fewer, and ids are made again: 2 µs each.
_REMEMBERED = 16_384

_Key = tuple[str, str, int]


class Sessions:
    name = "session"
    blank = ""

    def __init__(self) -> None:
        self.memo: Memo[_Key, str] = Memo(_session, size=_REMEMBERED)

    def __call__(self, batch: Sequence[Facts]) -> list[str]:
        """Of events without a session."""
        return [
            self.memo[facts.tenant, facts.visitor_id, facts.occurred_at_ms // _DAY_MS]
            if facts.visitor_id  # else everybody without an id were one person
            else self.blank
            for facts in batch
        ]


def _session(key: _Key) -> str:
    tenant, visitor_id, day = key
    return ids.derived(ids.SESSION, "visitor-day", tenant, visitor_id, str(day))
