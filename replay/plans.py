"""Plans and runs as they are kept in ClickHouse, beside the rows that they are about."""

from __future__ import annotations

import time
from typing import Literal

import msgspec

from core.errors import InputError
from replay.selection import Selection
from sinks.clickhouse import ClickHouse

RunState = Literal["running", "cancelling", "cancelled", "failed", "published", "rolled_back"]
_SETTINGS = {"async_insert": "0", "insert_deduplicate": "0"}


class GapFound(msgspec.Struct, frozen=True):
    """Raw records of the window that are kept nowhere. `first` is -1 where it is not known."""

    partition: int
    first: int
    last: int
    reason: str


class Refusal(msgspec.Struct, frozen=True):
    """Records that would have no row, by cause. `removed` of them have one now."""

    event: str
    version: int
    outcome: str
    code: str
    path: str
    fingerprint: str
    records: int
    removed: int


class Sample(msgspec.Struct, frozen=True):
    """One row as it stands and as it would be; a value that may be personal is hidden."""

    partition: int
    offset: int
    before: str
    after: str


class FieldChange(msgspec.Struct, frozen=True):
    """A column, or `properties.KEY`, that differs in so many rows."""

    field: str
    rows: int
    samples: list[Sample]


class DayChange(msgspec.Struct, frozen=True):
    """Rows of one arrival day before and after; `generations` are those that readers saw when the plan was made."""

    day: str
    before: int
    after: int
    accepted: int
    changed: int
    removed: int
    generations: list[int]


class RollupChange(msgspec.Struct, frozen=True):
    """The total of one rollup (the events it took in) over the days touched."""

    rollup: str
    before: int
    after: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay of `selection` by the contracts of `contracts` (a hash) would do.

    Counts are of raw records. `through` holds for each raw partition the last offset that was looked at at most;
    `behind` records of the window are later, and left to the live pipeline. `emptied` are events that have rows in the
    window and would keep none, because contracts refuse all of them: event → rows.
    """

    id: str
    at_ms: int
    selection: Selection
    contracts: str
    versions: dict[str, int]
    shadow: bool
    through: dict[int, int]
    from_kafka: int
    from_archive: int
    gaps: list[GapFound]
    selected: int
    accepted: int
    changed: int
    unchanged: int
    removed: int
    still: int
    suppressed: int
    duplicates: int
    refusals: list[Refusal]
    fields: list[FieldChange]
    days: list[DayChange]
    rollups: list[RollupChange]
    seconds: float
    estimate_s: float
    behind: int = 0
    emptied: dict[str, int] = {}

    @property
    def changes_something(self) -> bool:
        return bool(self.days)

    @property
    def refused_share(self) -> float:
        """Share of the selected records that today's contracts refuse."""
        return sum(each.records for each in self.refusals if each.outcome == "dead_letter") / max(1, self.selected)


class DayResult(msgspec.Struct, frozen=True):
    """What a run did to one day. The hashes are of the rows' content, whatever their order."""

    day: str
    generation: int
    before: int
    after: int
    hash_before: str
    hash_after: str


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    days: list[DayResult] = []
    accepted: int = 0
    changed: int = 0
    removed: int = 0
    late_duplicates: int = 0
    error: str = ""
    seconds: float = 0.0


class Run(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    plan: str
    state: RunState
    who: str
    why: str
    report: RunReport
    at_ms: int = 0


class Plans:
    """Reads and writes both."""

    def __init__(self, server: ClickHouse) -> None:
        self._server = server

    def keep(self, plan: Plan) -> None:
        line = {"plan": plan.id, "report": msgspec.json.encode(plan).decode()}
        self._server.insert(
            "INSERT INTO replay_plans FORMAT JSONEachRow", msgspec.json.encode(line), settings=_SETTINGS
        )

    def plan(self, plan: str) -> Plan:
        """Raises InputError if there is none."""
        found = self._server.rows("SELECT report FROM replay_plans WHERE plan = {plan:String}", plan=plan)
        if not found:
            raise InputError(f"there is no plan {plan}", hint="`sluice replay list` shows plans and runs.")
        return msgspec.json.decode(found[0][0], type=Plan)

    def plans(self) -> list[Plan]:
        rows = self._server.rows("SELECT report FROM replay_plans ORDER BY at")
        return [msgspec.json.decode(report, type=Plan) for (report,) in rows]

    def forget(self, plan: str) -> None:
        self._server.execute("DELETE FROM replay_plans WHERE plan = {plan:String}", plan=plan)

    def note(self, run: Run) -> None:
        line = {
            "run": run.id,
            "plan": run.plan,
            "state": run.state,
            "who": run.who,
            "why": run.why,
            "report": msgspec.json.encode(run.report).decode(),
            "version": time.time_ns(),
        }
        self._server.insert("INSERT INTO replay_runs FORMAT JSONEachRow", msgspec.json.encode(line), settings=_SETTINGS)

    def run(self, run: str) -> Run:
        """Raises InputError if there is none."""
        found = [each for each in self.runs() if each.id == run]
        if not found:
            raise InputError(f"there is no run {run}", hint="`sluice replay list` shows plans and runs.")
        return found[0]

    def runs(self) -> list[Run]:
        rows = self._server.rows(
            "SELECT run, argMax((plan, state, who, why, report), version) AS found, "
            "toUnixTimestamp64Milli(argMax(at, version)) FROM replay_runs GROUP BY run ORDER BY min(version)"
        )
        return [
            Run(
                id=run,
                plan=plan,
                state=state,
                who=who,
                why=why,
                report=msgspec.json.decode(report, type=RunReport),
                at_ms=at_ms,
            )
            for run, (plan, state, who, why, report), at_ms in rows
        ]
