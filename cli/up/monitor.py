"""Puts a snapshot together: processes, figures, trends, problems. Asks nobody itself, so it never waits."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

import msgspec

from cli.stack import RunningStack
from cli.tail.safe_text import shown
from cli.up import problems
from cli.up.figures import (
    Decided,
    Disk,
    DiskSource,
    OffsetSource,
    OutcomeSource,
    PauseSource,
    RowSource,
    Stored,
    Waiting,
)
from cli.up.poller import Poller
from cli.up.processes import ProcessTable
from cli.up.snapshot import Addresses, Figures, Phase, Snapshot
from cli.up.trends import Trends
from cli.up.words import key_hint
from core.clock import Clock, SystemClock
from core.settings import Settings
from infra.child_events import ChildState
from streams.pause import Pause

_DISK_INTERVAL_S = 5.0


class Monitor:
    """`processes` listens to the supervisors from the start, the sources are asked while the stack is `watched`."""

    def __init__(self, settings: Settings, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._settings = settings
        self._began = self._clock.monotonic()
        self._lock = threading.Lock()  # `snapshot` is called from several threads, `Trends` from one at a time
        self._trends = Trends()
        self._stack: RunningStack | None = None
        self._pollers: _Pollers | None = None
        self._addresses: Addresses | None = None
        self.processes = ProcessTable(self._clock)
        self.phase: Phase = "starting"
        self.step = ""

    def watch(self, stack: RunningStack) -> None:
        """The stack is up: ask its sources from now on."""
        self._stack = stack
        folder, found = stack.settings.state_dir, stack.endpoints
        self._addresses = Addresses(
            collector_url=found.collector_url,
            clickhouse_url=found.clickhouse_url,
            kafka_bootstrap=found.kafka_bootstrap,
            registry_url=found.registry_url or found.schema_registry_url,
            key_hint=key_hint(found.bootstrap_key),
            key_file=str(folder / "endpoints.json"),
            log_folder=str(folder / "logs"),
        )
        self._pollers = _Pollers(stack.settings)
        self.phase = "running"

    def drain(self) -> None:
        """The stack goes down. Figures stay as they were last: engines that leave are no trouble now."""
        self.phase, self.step = "draining", ""
        if self._pollers is not None:
            self._pollers.stop()

    def snapshot(self) -> Snapshot:
        with self._lock:
            now = self._clock.monotonic()
            processes = self.processes.snapshot(states=self._states())
            figures, away = self._figures()
            if self.phase == "running":
                self._trends.add(now, figures)
            troubled = self.phase == "running"
            found, notes = problems.find(processes, figures, self._trends, away=away) if troubled else ((), ())
            return Snapshot(
                pid=os.getpid(),
                phase=self.phase,
                step=self.step,
                state_dir=str(self._settings.state_dir.absolute()),
                at_ms=self._clock.now_ms(),
                monotonic_s=now,
                up_s=now - self._began,
                processes=processes,
                figures=figures,
                rates=self._trends.rates(),
                problems=found,
                notes=notes,
                addresses=self._addresses,
            )

    def _states(self) -> Mapping[str, ChildState]:
        return {} if self._stack is None else {child.name: child.state for child in self._stack.status()}

    def _figures(self) -> tuple[Figures, tuple[str, ...]]:
        if self._pollers is None:
            return Figures(), ()
        return self._pollers.figures(stale=self.phase == "draining"), self._pollers.away()


class _Pollers:
    """The five sources of a stack, each on its own thread."""

    def __init__(self, settings: Settings) -> None:
        self.offsets = Poller("Kafka", OffsetSource(settings))
        self.rows = Poller("ClickHouse", RowSource(settings))
        # Each of its calls waits for what is new, so it needs no pause.
        self.outcomes = Poller("Kafka", OutcomeSource(settings), interval_s=0.0, on_change=self._nudge)
        self.pause = Poller("Kafka", PauseSource(settings))
        self.disk = Poller("the disk", DiskSource(settings.state_dir), interval_s=_DISK_INTERVAL_S)
        self._all: tuple[Poller[Any], ...] = (self.offsets, self.outcomes, self.rows, self.pause, self.disk)
        for poller in self._all:
            poller.start()

    def stop(self) -> None:
        for poller in self._all:
            poller.stop()

    def _nudge(self) -> None:
        self.offsets.nudge()
        self.rows.nudge()

    def away(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(poller.name for poller in self._all if poller.away()))

    def figures(self, *, stale: bool) -> Figures:
        """What is known now; with `stale`, what was known last."""

        def read(poller: Poller[Any]) -> Any:
            return poller.latest() if stale else poller.current()

        found = _figures(read(self.offsets), read(self.outcomes), read(self.rows), read(self.disk))
        return msgspec.structs.replace(found, streams_paused=_paused(read(self.pause)))


def _figures(waiting: Waiting | None, decided: Decided | None, stored: Stored | None, disk: Disk | None) -> Figures:
    outcomes = None if decided is None else decided.outcomes
    return Figures(
        received=_received(waiting, decided),
        curated=None if outcomes is None else outcomes.get("curated", 0),
        duplicates=None if outcomes is None else outcomes.get("duplicate", 0),
        dead_letters=None if outcomes is None else outcomes.get("dead_letter", 0),
        rows=None if stored is None else stored.rows,
        waiting_streams=None if waiting is None else waiting.streams,
        waiting_sink=None if waiting is None else waiting.sink,
        newest_row_at_ms=None if stored is None else stored.newest_at_ms,
        disk_used_bytes=None if disk is None else disk.used_bytes,
        disk_free_bytes=None if disk is None else disk.free_bytes,
    )


def _paused(told: Pause | None) -> str | None:
    if told is None or not told.paused:
        return None if told is None else ""
    by = f" by {shown(told.by)}" if told.by else ""
    return f"{'halted' if told.halt else 'paused'}{by}{f': {shown(told.reason)}' if told.reason else ''}"


def _received(waiting: Waiting | None, decided: Decided | None) -> int | None:
    """Raw events from the first counted outcome on, so that it equals the outcomes and what waits for one."""
    if waiting is None or decided is None:
        return None
    return sum(end - decided.first.get(p, waiting.committed[p]) for p, end in waiting.raw_ends.items())
