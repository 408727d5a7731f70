"""What is known of a running stack at one moment.

The status document, `sluice status --json` and the view are made from it. A figure is None while its source does not
answer. Decides nothing about how it looks.
"""

from __future__ import annotations

from typing import Literal

import msgspec

# Of the document; a reader of another format says so instead of guessing.
FORMAT = 1

Phase = Literal["starting", "running", "draining"]
Health = Literal["healthy", "degraded", "starting", "draining"]


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """One child. `up_s` is the age of its present life, `fell_s` how long ago it last fell, `next_start_s` when it is
    started again."""

    name: str
    state: str
    pid: int | None = None
    up_s: float | None = None
    restarts: int = 0
    rss_bytes: int | None = None
    last_reason: str = ""
    fell_s: float | None = None
    next_start_s: float | None = None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Events, counted from the oldest outcome that Kafka still keeps; rows are those in the table.

    `waiting_streams` are received and have no outcome, `waiting_sink` are curated and not in the table.
    `streams_paused` says by whom and why, and is empty where they are not.
    """

    received: int | None = None
    curated: int | None = None
    duplicates: int | None = None
    dead_letters: int | None = None
    rows: int | None = None
    waiting_streams: int | None = None
    waiting_sink: int | None = None
    streams_paused: str | None = None
    newest_row_at_ms: int | None = None
    disk_used_bytes: int | None = None
    disk_free_bytes: int | None = None


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Events a second over the last few seconds."""

    received: float | None = None
    curated: float | None = None
    duplicates: float | None = None
    dead_letters: float | None = None
    rows: float | None = None


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """Where the stack is. `key_hint` is the start of the tracking key; the key itself is in `key_file`."""

    collector_url: str
    clickhouse_url: str
    kafka_bootstrap: str
    registry_url: str = ""
    key_hint: str
    key_file: str
    log_folder: str


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """`monotonic_s` is the system's monotonic clock, which other processes share: a clock set back ages nothing."""

    format: int = FORMAT
    pid: int
    phase: Phase
    step: str = ""
    state_dir: str
    at_ms: int
    monotonic_s: float
    up_s: float
    processes: tuple[Process, ...] = ()
    figures: Figures = Figures()
    rates: Rates = Rates()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    addresses: Addresses | None = None

    @property
    def health(self) -> Health:
        if self.phase != "running":
            return self.phase
        return "degraded" if self.problems else "healthy"

    @property
    def caught_up(self) -> bool | None:
        """Whether every received event has its outcome and every curated one its row; None if that is not known."""
        waiting = (self.figures.waiting_streams, self.figures.waiting_sink)
        if None in waiting:
            return None
        return waiting == (0, 0)

    @property
    def freshness_s(self) -> float | None:
        """How old the newest row is; never negative, also when the clock was set back."""
        newest = self.figures.newest_row_at_ms
        return None if newest is None else max(0.0, (self.at_ms - newest) / 1000)
