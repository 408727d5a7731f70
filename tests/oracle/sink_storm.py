"""Everything at once on two sinks and their engine: kills, freezes and takeovers while events come in."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from signal import SIGCONT

from tests.oracle.shim import Shim
from tests.oracle.sink_run import SinkRig

# For each: what a rollup's view says, and the same counted from the base. Written apart from the product's own recount,
# which reads the views' definitions.
_RECOUNTS = {
    "events_daily": (
        "SELECT tenant, toString(day), event, name, sum(events) FROM events_daily GROUP BY ALL ORDER BY ALL",
        "SELECT tenant, toString(toDate(occurred_at)), event, name, count() FROM events GROUP BY ALL ORDER BY ALL",
    ),
    "page_views_daily": (
        "SELECT tenant, toString(day), views, visitors, sessions FROM page_views_daily ORDER BY ALL",
        (
            "SELECT tenant, toString(toDate(occurred_at)), count(), uniqExact(visitor_id), uniqExact(session_id) "
            "FROM events WHERE event_type = 'page_view' GROUP BY ALL ORDER BY ALL"
        ),
    ),
    "pages_daily": (
        "SELECT tenant, toString(day), path, views, visitors FROM pages_daily ORDER BY ALL",
        (
            "SELECT tenant, toString(toDate(occurred_at)), path, count(), uniqExact(visitor_id) "
            "FROM events WHERE event_type = 'page_view' GROUP BY ALL ORDER BY ALL"
        ),
    ),
    "referrers_daily": (
        "SELECT tenant, toString(day), referrer_host, views, visitors FROM referrers_daily ORDER BY ALL",
        (
            "SELECT tenant, toString(toDate(occurred_at)), referrer_host, count(), uniqExact(visitor_id) FROM events "
            "WHERE event_type = 'page_view' AND referrer_host != '' GROUP BY ALL ORDER BY ALL"
        ),
    ),
    "events_hourly": (
        "SELECT tenant, toString(hour), event, name, sum(events) FROM events_hourly GROUP BY ALL ORDER BY ALL",
        (
            "SELECT tenant, toString(toStartOfHour(occurred_at, 'UTC')), event, name, count() FROM events GROUP BY ALL "
            "ORDER BY ALL"
        ),
    ),
}
# Before and after each step of a block.
PLACES = ("sink.before_plan", "sink.after_plan", "sink.after_insert", "sink.after_verify", "sink.after_commit")
_SINKS = ("a", "b")
_EVENTS_AT_ONCE = 5_000
# Events that may wait before the next are sent.
_AHEAD = 8 * _EVENTS_AT_ONCE


def every_place(times: int) -> str:
    """Verification is reached by a sink that finds a plan only; elsewhere the first block goes through."""
    return ",".join(f"{p}:kill*{times}" if p == "sink.after_verify" else f"{p}:kill@2*{times}" for p in PLACES)


def markers(rig: SinkRig) -> int:
    """How often a failpoint acted."""
    return len(list((rig.settings.state_dir / "failpoints").glob("*")))


def kill_in_rename(rig: SinkRig, tool: Shim, table: str) -> None:
    """Send a block and kill the engine while it renames what it wrote into `table`."""
    (uuid,) = rig.server.rows(
        "SELECT uuid FROM system.tables WHERE database = currentDatabase() AND name = {table:String}", table=table
    )[0]
    tool.hold(uuid)
    rig.send(40, partitions=1)
    rig.until(lambda: tool.held, timeout_s=60, what="the rename")
    rig.front.kill()
    tool.release()
    rig.front.start()


@dataclass(slots=True)
class Storm:
    """`struck` counts what was done to whom, `at_places` how often each failpoint shall kill."""

    rig: SinkRig
    tool: Shim
    random: random.Random
    at_places: int
    struck: Counter[str] = field(default_factory=Counter)

    def run(self, events: int, *, sinks: int, fronts: int, frozen: int) -> None:
        """Send `events` and strike meanwhile.

        That often sinks and the engine are killed at random, and a sink is frozen until another has stored its block;
        the engine is killed twice between its record and its rename.
        """
        for name in _SINKS:
            self.rig.start(name, failpoint=every_place(self.at_places))
        strikes: list[Callable[[], None]] = [
            *[self._kill_sink] * sinks,
            *[self._kill_front] * fronts,
            *[self._freeze] * frozen,
            partial(self._rename, "events_log"),
            partial(self._rename, "sessions_log"),
        ]
        self.random.shuffle(strikes)
        turns = events // _EVENTS_AT_ONCE
        struck = 0
        for turn in range(turns):
            self.rig.send(_EVENTS_AT_ONCE)
            while struck * turns < turn * len(strikes):
                strikes[struck]()
                struck += 1
            self._until_stored(self.rig.sent - _AHEAD)
        for strike in strikes[struck:]:
            strike()
        while markers(self.rig) < len(PLACES) * self.at_places:
            self.rig.send(200)
            self._until_stored(self.rig.sent)
        self._until_stored(self.rig.sent)

    def differences(self) -> list[str]:
        """What is wrong with rows and rollups; each rollup is compared by the product's recount and by one of ours."""
        server = self.rig.server
        unequal = [name for name, (view, again) in _RECOUNTS.items() if server.rows(view) != server.rows(again)]
        return self.rig.problems() + unequal

    def _kill_sink(self) -> None:
        child = self.rig.sinks[self.random.choice(_SINKS)]
        self.rig.until(lambda: child.poll() is None, timeout_s=60, what="a sink that lives")
        time.sleep(self.random.random())
        alive = child.poll() is None
        child.kill()
        self.struck["sink killed at random"] += alive
        if not alive:  # a failpoint was faster
            self._kill_sink()

    def _kill_front(self) -> None:
        time.sleep(self.random.random())
        self.rig.front.kill()
        self.rig.front.start()
        self.struck["engine killed at random"] += 1

    def _rename(self, table: str) -> None:
        kill_in_rename(self.rig, self.tool, table)
        self.struck[f"engine killed in its rename of {table}"] += 1

    def _freeze(self) -> None:
        """A third sink stops with an insert in hand. Another stores that block; it wakes and sends it."""
        name = f"late{self.struck['frozen sink woke with an old insert']}"
        folder = self.rig.settings.state_dir / name
        child = self.rig.start(name, failpoint="sink.after_plan:stop@2", state_dir=folder)
        del self.rig.sinks[name]  # not started again
        try:
            self._sending((folder / "failpoints").is_dir, what="the stop")
            self._until_stored(self.rig.sent)  # its block too, by whoever took its partition over
            before = self.rig.log(name).count("sink.partition_assigned")
            child.send(SIGCONT)
            self._sending(
                lambda: child.poll() is not None or self.rig.log(name).count("sink.partition_assigned") > before,
                what="its return",
            )
        finally:
            child.kill()
            child.stop()
        self.struck["frozen sink woke with an old insert"] += 1

    def _sending(self, reached: Callable[[], object], *, what: str) -> None:
        deadline = time.monotonic() + 120
        while not reached():
            assert time.monotonic() < deadline, f"{what}: not within 120 s"
            self.rig.send(400)
            self.rig.look()
            time.sleep(0.2)

    def _until_stored(self, rows: int) -> None:
        self.rig.until(lambda: self.rig.stored() >= rows, timeout_s=300, what=f"{rows} rows")
