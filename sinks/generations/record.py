"""The tables `generations` (what readers see) and `generation_claims` (which run holds a day). Lines are only added.

A change is announced, checked and then done. Its announcement is a claim, and holds the version under which the change
will be made. So of two runs that change a day at once at least one sees the other's claim and withdraws; and a change
that was checked, got stuck and is made late does not outdo what came in between, whose versions are greater.

A generation without an entry is visible: a day that nobody restated needs none.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import msgspec

from sinks.clickhouse import ClickHouse, Parameter

# What was added is there for the next query, so it is not left to the server's own batching.
_SETTINGS = {"async_insert": "0", "insert_deduplicate": "0"}
_OF_DAYS = "(empty({days:Array(Date)}) OR arrival_day IN {days:Array(Date)})"
_SPREAD_NS = 1_000_000


class State(StrEnum):
    """What became of a generation."""

    LIVE = "live"  # visible, takes live rows
    HIDDEN = "hidden"  # being filled
    PUBLISHED = "published"
    SUPERSEDED = "superseded"  # hidden by the run of the entry
    RESTORED = "restored"  # visible again by the run of the entry
    ROLLED_BACK = "rolled_back"
    DROPPED = "dropped"  # given up before it was published
    PRUNED = "pruned"  # its rows are deleted or about to be


class Phase(StrEnum):
    """How far a run is with a day."""

    STAGING = "staging"
    STAGED = "staged"  # verified
    PUBLISHING = "publishing"
    PUBLISHED = "published"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    PRUNING = "pruning"
    PRUNED = "pruned"
    DROPPED = "dropped"

    @property
    def holds(self) -> bool:
        """Whether no other run may change the day."""
        return self in {Phase.STAGING, Phase.STAGED, Phase.PUBLISHING, Phase.ROLLING_BACK, Phase.PRUNING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What readers see of a generation of a day, by the word of `run`. `day` is ISO 8601."""

    day: str
    generation: int
    visible: bool
    state: State
    run: str = ""
    live: bool = False
    version: int = 0
    at_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """How far `run` is with a day, of which it makes `generation` in the place of `replaces`."""

    day: str
    run: str
    phase: Phase
    generation: int = 0
    replaces: tuple[int, ...] = ()
    rows: int = 0
    why: str = ""
    version: int = 0
    at_ms: int = 0

    @property
    def tail(self) -> int:
        """The generation that was opened with this one for live rows."""
        return self.generation + 1


class Record:
    """Reads and adds lines."""

    def __init__(self, server: ClickHouse) -> None:
        self._server = server

    def next_version(self) -> int:
        """Greater than every version so far, and no less than the clock. No two processes get the same."""
        greatest = max(
            self._server.scalar("SELECT max(version) FROM generations"),
            self._server.scalar("SELECT max(version) FROM generation_claims"),
            time.time_ns(),
        )
        return int(greatest) + random.randint(1, _SPREAD_NS)  # noqa: S311 (not a secret)

    def claim(self, claims: Sequence[Claim]) -> int:
        """Add `claims` with one insert, under a new version, which is returned.

        Raises:
            UnavailableError: it is not known whether they were added. Adding them again does no harm.
        """
        version = self.next_version()
        lines = [
            {
                "arrival_day": each.day,
                "run": each.run,
                "state": each.phase,
                "generation": each.generation,
                "replaces": each.replaces,
                "rows": each.rows,
                "why": each.why,
                "version": version,
            }
            for each in claims
        ]
        self._add("generation_claims", lines)
        return version

    def show(self, entries: Sequence[Entry], *, version: int) -> None:
        """Add `entries` with one insert: readers see all of them or none. `version` is that of a claim.

        Raises:
            UnavailableError: it is not known whether they were added. Adding them again does no harm.
        """
        lines = [
            {
                "arrival_day": each.day,
                "generation": each.generation,
                "visible": int(each.visible),
                "live": each.live,
                "state": each.state,
                "run": each.run,
                "version": version,
            }
            for each in entries
        ]
        self._add("generations", lines)

    def entries(self, days: Iterable[str] = ()) -> list[Entry]:
        """The entry that counts of each generation, by day and generation; of all days if none is named."""
        sql = (  # a condition of ours, values bound
            "SELECT arrival_day, generation, argMax((visible, state, run), version) AS found, max(live), max(version), "  # noqa: S608
            f"toUnixTimestamp64Milli(argMax(at, version)) FROM generations WHERE {_OF_DAYS} "
            "GROUP BY arrival_day, generation ORDER BY arrival_day, generation"
        )
        return [
            Entry(
                day=day,
                generation=generation,
                visible=bool(found[0]),
                # Lines of releases that knew no states.
                state=State(found[1] or (State.PUBLISHED if found[0] else State.HIDDEN)),
                run=found[2],
                live=bool(live),
                version=version,
                at_ms=at_ms,
            )
            for day, generation, found, live, version, at_ms in self._server.rows(sql, days=list(days))
        ]

    def holders(self, days: Iterable[str], *, but: str) -> list[Claim]:
        """Claims of other runs than `but` that hold one of `days`."""
        found = self._claims(f"{_OF_DAYS} AND run != {{run:String}}", days=list(days), run=but)
        return [each for each in found if each.phase.holds]

    def of_run(self, run: str) -> list[Claim]:
        """How far a run is with each of its days, in order."""
        return self._claims("run = {run:String}", run=run)

    def runs(self) -> list[Claim]:
        """How far every run is with each of its days."""
        return self._claims("1")

    def visible(self, days: Iterable[str]) -> dict[str, tuple[int, ...]]:
        """Visible generations of each of `days`, in order."""
        wanted = list(days)
        shown: dict[str, set[int]] = {day: {0} for day in wanted}
        for entry in self.entries(wanted):
            if entry.visible:
                shown[entry.day].add(entry.generation)
            else:
                shown[entry.day].discard(entry.generation)
        return {day: tuple(sorted(found)) for day, found in shown.items()}

    def next_generations(self, days: Iterable[str]) -> dict[str, int]:
        """The number after the greatest that each day has had."""
        wanted = list(days)
        greatest = dict.fromkeys(wanted, 0)
        for entry in self.entries(wanted):
            greatest[entry.day] = max(greatest[entry.day], entry.generation)
        return {day: number + 1 for day, number in greatest.items()}

    def _claims(self, where: str, **parameters: Parameter) -> list[Claim]:
        sql = (
            "SELECT arrival_day, run, argMax((state, generation, replaces, rows, why), version) AS found, "  # noqa: S608
            "max(version), toUnixTimestamp64Milli(argMax(at, version)) FROM generation_claims "
            f"WHERE {where} GROUP BY arrival_day, run ORDER BY arrival_day, run"
        )
        out = []
        for day, run, (state, generation, replaces, rows, why), version, at_ms in self._server.rows(sql, **parameters):
            out.append(
                Claim(
                    day=day,
                    run=run,
                    phase=Phase(state),
                    generation=generation,
                    replaces=tuple(replaces),
                    rows=rows,
                    why=why,
                    version=version,
                    at_ms=at_ms,
                )
            )
        return out

    def _add(self, table: str, lines: list[dict[str, Any]]) -> None:
        body = b"\n".join(map(msgspec.json.encode, lines))
        self._server.insert(f"INSERT INTO {table} FORMAT JSONEachRow", body, settings=_SETTINGS)


def live_generation(server: ClickHouse, day: str) -> int:
    """Where live rows of `day` go."""
    return int(
        server.scalar("SELECT max(generation) FROM generations WHERE arrival_day = {day:Date} AND live", day=day)
    )


def in_phase(claims: Iterable[Claim], phase: Phase, *, why: str = "") -> list[Claim]:
    return [replace(each, phase=phase, why=why or each.why) for each in claims]
