"""Brings together what was sent and what is learnt of it: outcomes by event id, rows by raw coordinates.

Two events under one id are told apart by order: records of one visitor keep theirs.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence

from cli.send.fate import Entry, Fate, Place
from cli.send.rows import Rows
from cli.tail.follow import Follower
from cli.tail.sighting import Sighting
from core.errors import UnavailableError

_POLL_S = 0.05
# First events of duplicates that are looked up, each by a query of its own.
_MAX_LOOKUPS = 50


class Tracker:
    """Fates that are still open. `started` is the (monotonic) moment of sending; `tenant` is "" where unknown.

    `trouble` is why rows could not be asked for, "" if they could: what is known besides is told all the same.
    """

    def __init__(self, fates: Sequence[Fate], *, tenant: str, started: float) -> None:
        self._fates = fates
        self._tenant = tenant
        self._started = started
        self.trouble = ""
        self._open: dict[str, deque[Fate]] = defaultdict(deque)
        for fate in fates:
            if fate.followed:
                self._open[fate.outgoing.event_id].append(fate)

    def wait(self, follower: Follower, rows: Rows, *, deadline: float) -> None:
        """Follow every accepted event to its end, or to the deadline; then look up what they repeat and count in."""
        while (self._open or self._without_row()) and time.monotonic() < deadline:
            self.take(follower.poll(_POLL_S))
            self.trouble = ""  # what went well since is no trouble
            self._ask(lambda: self._look_for_rows(rows))
        self._ask(lambda: self._find_firsts(rows))
        self._ask(lambda: self._find_rollups(rows, deadline=deadline))

    def take(self, sightings: Iterable[Sighting]) -> None:
        """Give outcomes to the events they are of."""
        now = time.monotonic()
        for sighting in sightings:
            waiting = self._open.get(sighting.event_id)
            if not waiting or self._tenant not in {"", sighting.tenant}:
                continue
            fate = waiting.popleft()
            fate.sighting = sighting
            fate.outcome_ms = round((now - self._started) * 1000)
            if not waiting:
                del self._open[sighting.event_id]

    def _ask(self, question: Callable[[], None]) -> None:
        try:
            question()
        except UnavailableError as error:
            self.trouble = error.message

    def _without_row(self) -> list[Fate]:
        return [fate for fate in self._fates if fate.state == "no_row"]

    def _look_for_rows(self, rows: Rows) -> None:
        missing = {(p.partition, p.offset): (fate, p) for fate in self._without_row() if (p := fate.place)}
        visible = rows.visible([place for _, place in missing.values()])
        now = time.monotonic()
        for coordinates in visible.intersection(missing):
            missing[coordinates][0].row_ms = round((now - self._started) * 1000)

    def _find_firsts(self, rows: Rows) -> None:
        own: dict[tuple[str, str], Place] = {}
        for fate in self._fates:
            if fate.state in {"stored", "no_row"} and fate.sighting and fate.place:
                own[fate.sighting.tenant, fate.sighting.event_id] = fate.place
        repeats = [fate for fate in self._fates if fate.state == "duplicate"]
        for at, fate in enumerate(repeats):
            seen, place = fate.sighting, fate.place
            if seen is None or place is None:
                continue
            fate.first = own.get((seen.tenant, seen.event_id))
            if fate.first is None and at < _MAX_LOOKUPS:
                fate.first = rows.first(tenant=seen.tenant, event_id=seen.event_id, before=place)

    def _find_rollups(self, rows: Rows, *, deadline: float) -> None:
        """For one event alone: of many, nobody reads the counts."""
        stored = [fate for fate in self._fates if fate.state == "stored"]
        if len(stored) != 1 or (place := stored[0].place) is None:
            return
        # An insert shows its rows a moment before it has filled the views: read until it rests.
        before: list[Entry] = []
        while not (entries := rows.rollups(place)) or entries != before:
            if time.monotonic() > deadline:
                break
            before = entries
            time.sleep(_POLL_S)
        stored[0].rollups = entries
