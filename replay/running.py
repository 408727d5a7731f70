"""Carries a plan out: stages each of its days as a hidden generation, verifies it, and shows all of them at once.

1. The plan is checked against today: the same contracts, and nobody restated its days meanwhile.
2. Ids that come back enter the live dedupe windows: from here on a client's late retry is a duplicate.
3. The days are taken over: live rows go elsewhere, what is there stands still.
4. What came live with one of those ids before 2 took hold makes that id a duplicate here.
5. Each day: what the plan replaces is left out, its rows are put in, the rest is carried over, and all is verified.
6. One insert shows it.

Killed anywhere, readers see all of it or nothing; running it again goes on with what was verified.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from core.errors import ExitCode, InputError, RefusedError, SluiceError
from core.failpoints import hit
from core.log import get_logger
from replay.plans import DayResult, Plan, Plans, Run, RunReport, RunState
from replay.scratch import Scratch
from replay.suppression import Suppressed
from sinks.clickhouse import ClickHouse
from sinks.generations.handover import Plans as SinkState
from sinks.generations.record import Record
from sinks.generations.restatement import Restatement
from sinks.generations.staging import Stage

log = get_logger(__name__)

Progress = Callable[[str, int, int], None]
# Makes live workers know ids, given as raw partition → (dedupe id, raw offset); returns when all of them do.
Announce = Callable[[Plan, Scratch], None]
RUN_PREFIX = "replay-"
_PUT = ("accepted", "changed")
# What the engine holds at once: the rows of one insert, and places and ids.
_ROWS_AT_ONCE = 250_000
_IDS_AT_ONCE = 1_000_000


class CancelledError(SluiceError):
    """The run was cancelled while it worked; nothing of it is visible."""

    code = "cancelled"
    exit_code = ExitCode.INTERRUPTED


class Runner:
    """Carries out one plan under one name; calling `run` again goes on."""

    def __init__(
        self,
        server: ClickHouse,
        *,
        contracts: str,
        plans: SinkState,
        suppressed: Suppressed,
        announce: Announce,
        rate: int = 0,
        progress: Progress = lambda _what, _done, _total: None,
        handover_s: float = 60.0,
    ) -> None:
        self._server = server
        self._contracts = contracts
        self._sinks = plans
        self._suppressed = suppressed
        self._announce = announce
        self._rate = rate
        self._progress = progress
        self._handover_s = handover_s
        self._kept = Plans(server)

    def run(self, plan: Plan, *, who: str, why: str) -> Run:
        """Do what `plan` says, or go on with it.

        Raises:
            InputError: the plan cannot be run: it is a shadow, has gaps, changes nothing or was run already.
            RefusedError: contracts or days are not what they were when it was made.
            CancelledError: somebody cancelled it.
            InvariantError: a day did not verify; nothing is visible.
        """
        name = RUN_PREFIX + plan.id
        known = next((each for each in self._kept.runs() if each.id == name), None)
        if known is not None and known.state == "published":
            return known
        self._check(plan, known)
        started = time.monotonic()
        run = Run(id=name, plan=plan.id, state="running", who=who, why=why, report=RunReport())
        self._kept.note(run)
        restatement = Restatement(self._server, name, why=why)
        try:
            report = self._work(plan, restatement)
        except CancelledError:
            restatement.drop()
            self._kept.note(_ended(run, "cancelled"))
            raise
        except SluiceError as error:
            self._kept.note(_ended(run, "failed", error=error.message))
            raise
        published = Run(
            id=name,
            plan=plan.id,
            state="published",
            who=who,
            why=why,
            report=_with_seconds(report, time.monotonic() - started),
        )
        self._kept.note(published)
        return published

    def _work(self, plan: Plan, restatement: Restatement) -> RunReport:
        scratch = Scratch(self._server, plan.id)
        days = [each.day for each in plan.days]
        hit("replay.before_announce")
        self._announce(plan, scratch)
        hit("replay.after_announce")
        stages = restatement.begin(days, plans=self._sinks, handover_s=self._handover_s)
        self._suppressed.create(self._server)
        try:
            late = self._settle_late(scratch)
            results: list[DayResult] = []
            done = 0
            for stage in stages:
                results.append(self._day(stage, scratch, plan, done))
                done += results[-1].after
                hit("replay.after_day")
        finally:
            self._suppressed.drop(self._server)
        self._stop_if_cancelled(plan)
        hit("replay.before_publish")
        restatement.publish()
        hit("replay.after_publish")
        return RunReport(
            days=results,
            accepted=plan.accepted - late,
            changed=plan.changed,
            removed=plan.removed,
            late_duplicates=late,
        )

    def _check(self, plan: Plan, known: Run | None) -> None:
        if plan.shadow:
            raise InputError(
                f"the plan {plan.id} is of contracts that are not in force", hint="Release them, plan again."
            )
        if plan.gaps:
            raise InputError(
                f"the plan {plan.id} has gaps: raw records of its window are kept nowhere",
                hint="Plan a window without them.",
            )
        if not plan.changes_something:
            raise InputError(f"the plan {plan.id} changes nothing")
        if plan.accepted + plan.changed == 0 and plan.refused_share == 1.0:
            raise InputError(
                f"today's contracts refuse every record of the plan {plan.id}",
                hint="Nothing was published. Is it the contract that is wrong?",
            )
        if known is not None and known.state == "rolled_back":
            raise InputError(f"the plan {plan.id} was run and rolled back", hint="Plan again.")
        if plan.contracts != self._contracts:
            raise RefusedError(
                f"the contracts have changed since the plan {plan.id} was made", hint="Plan again: sluice replay plan."
            )
        visible = Record(self._server).visible([each.day for each in plan.days])
        for each in plan.days:
            if not set(each.generations) <= set(visible[each.day]):
                raise RefusedError(
                    f"{each.day} was restated since the plan {plan.id} was made", hint="Plan again: sluice replay plan."
                )

    def _settle_late(self, scratch: Scratch) -> int:
        """Note accepted records whose id came live between plan and announcement: they are duplicates now."""
        self._server.execute(f"TRUNCATE TABLE {scratch.late}")
        for part, _ in scratch.parts("accepted", most=_IDS_AT_ONCE):
            accepted = f"{part} AND {scratch.that('accepted', within=part)}"
            self._server.execute(
                f"INSERT INTO {scratch.late} SELECT raw_partition, raw_offset FROM {scratch.rows} WHERE {accepted} "  # noqa: S608
                "AND (tenant, event_id) IN (SELECT tenant, event_id FROM events WHERE (tenant, event_id) IN "
                f"(SELECT tenant, event_id FROM {scratch.rows} WHERE {accepted}) AND NOT {scratch.that('removed')})"
            )
        return int(self._server.scalar(f"SELECT count() FROM {scratch.late}"))  # noqa: S608 (a name of ours)

    def _day(self, stage: Stage, scratch: Scratch, plan: Plan, done: int) -> DayResult:
        total = sum(each.after for each in plan.days)
        before, hash_before = self._content(scratch, stage.day, stage.replaces)
        if not stage.verified:
            self._server.execute(
                "INSERT INTO replaced_rows (arrival_day, generation, raw_partition, raw_offset) "  # noqa: S608
                f"SELECT arrival_day, {{generation:UInt32}}, raw_partition, raw_offset FROM {scratch.changes} "
                "WHERE arrival_day = {day:Date} AND change IN ('changed', 'removed')",
                day=stage.day,
                generation=stage.generation,
            )
            put = self._put(stage, scratch, plan, lambda rows: self._progress("staging", done + rows, total))
            carried = stage.carry(
                f"NOT {self._suppressed.condition()}",
                progress=lambda rows, _: self._progress("staging", min(done + rows, total), total),
            )
            self._outcomes(stage, scratch, plan)
            self._progress("verifying", min(done + put + carried, total), total)
            stage.verify(rows=put + carried)
        after, hash_after = self._content(scratch, stage.day, [stage.generation])
        return DayResult(stage.day, stage.generation, before, after, hash_before, hash_after)

    def _content(self, scratch: Scratch, day: str, generations: Sequence[int]) -> tuple[int, str]:
        """Number of rows, and a hash that does not depend on their order: the sum of each row's hash."""
        columns = ", ".join(f"`{name}`" for name in scratch.columns() if not name.startswith("kafka_"))
        count, content = self._server.rows(
            f"SELECT count(), hex(sum(toUInt128(sipHash64({columns})))) FROM events_log "  # noqa: S608
            "WHERE arrival_day = {day:Date} AND generation IN {generations:Array(UInt32)}",
            day=day,
            generations=list(generations),
        )[0]
        return count, content

    def _put(self, stage: Stage, scratch: Scratch, plan: Plan, progress: Callable[[int], None]) -> int:
        """Copy the plan's rows of the day into the stage; returns how many there must be."""
        columns = ", ".join(f"`{name}`" for name in scratch.columns())
        done, started = 0, time.monotonic()
        for part, records in scratch.parts(*_PUT, most=_ROWS_AT_ONCE, day=stage.day):
            self._stop_if_cancelled(plan)
            self._server.execute(
                f"INSERT INTO events_log ({columns}, generation, run) SELECT {columns}, {{generation:UInt32}}, "  # noqa: S608
                f"{{run:String}} FROM {scratch.rows} WHERE toDate(arrival_at) = {{day:Date}} AND {part} "
                f"AND {scratch.that(*_PUT, within=part)} AND NOT {scratch.is_late} "
                "SETTINGS insert_deduplicate = 0, async_insert = 0, max_insert_threads = 1",
                day=stage.day,
                generation=stage.generation,
                run=RUN_PREFIX + plan.id,
            )
            hit("replay.after_range")
            done += records
            progress(done)
            if self._rate and (ahead := done / self._rate - (time.monotonic() - started)) > 0:
                time.sleep(ahead)
        # Not counted in what was just written: whether that is all of it is what is verified.
        late = self._server.scalar(
            f"SELECT count() FROM {scratch.changes} WHERE arrival_day = {{day:Date}} AND change = 'accepted' "  # noqa: S608
            f"AND {scratch.is_late}",
            day=stage.day,
        )
        return done - int(late)

    def _outcomes(self, stage: Stage, scratch: Scratch, plan: Plan) -> None:
        """Write down the outcome of each record that was looked at, shown and hidden with the rows."""
        self._server.execute(
            f"ALTER TABLE restated_outcomes_log DROP PARTITION tuple('{stage.day}', {stage.generation})"
        )
        self._server.execute(
            "INSERT INTO restated_outcomes_log "  # noqa: S608
            "(arrival_day, generation, run, raw_partition, raw_offset, was, outcome, reason, fingerprint) "
            "SELECT arrival_day, {generation:UInt32}, {run:String}, raw_partition, raw_offset, was, "
            f"if({scratch.is_late}, 'duplicate', becomes), if({scratch.is_late}, 'duplicate', reason), fingerprint "
            f"FROM {scratch.changes} WHERE arrival_day = {{day:Date}}",
            day=stage.day,
            generation=stage.generation,
            run=RUN_PREFIX + plan.id,
        )

    def _stop_if_cancelled(self, plan: Plan) -> None:
        if self._kept.run(RUN_PREFIX + plan.id).state == "cancelling":
            raise CancelledError(f"the run of the plan {plan.id} was cancelled", hint="Nothing of it was published.")


def cancel(server: ClickHouse, run: Run, *, who: str, why: str) -> None:
    """Ask whoever works on `run` to give up. One that failed is given up here and now."""
    kept = Plans(server)
    kept.note(Run(id=run.id, plan=run.plan, state="cancelling", who=who, why=why, report=run.report))
    if run.state == "failed":
        Restatement(server, run.id, why=why).drop()
        kept.note(Run(id=run.id, plan=run.plan, state="cancelled", who=who, why=why, report=run.report))


def rollback(server: ClickHouse, run: Run, *, suppressed: Suppressed, who: str, why: str) -> Run:
    """Show again what `run` replaced.

    Raises:
        RefusedError: it is not published, a later run built on it, or a suppressed subject would come back.
    """
    restatement = Restatement(server, run.id, why=why)
    claims = Record(server).of_run(run.id)
    suppressed.create(server)
    try:
        for claim in claims:
            back = server.scalar(
                "SELECT count() FROM events_log WHERE arrival_day = {day:Date} "  # noqa: S608
                f"AND generation IN {{replaces:Array(UInt32)}} AND {suppressed.condition()}",
                day=claim.day,
                replaces=list(claim.replaces),
            )
            if back:
                raise RefusedError(
                    f"{back} rows of suppressed subjects would be visible again on {claim.day}",
                    hint="Erase them from the earlier generation first, or plan a new run.",
                )
    finally:
        suppressed.drop(server)
    restatement.rollback()
    done = Run(id=run.id, plan=run.plan, state="rolled_back", who=who, why=why, report=run.report)
    Plans(server).note(done)
    return done


def _ended(run: Run, state: RunState, *, error: str = "") -> Run:
    return Run(id=run.id, plan=run.plan, state=state, who=run.who, why=run.why, report=RunReport(error=error))


def _with_seconds(report: RunReport, seconds: float) -> RunReport:
    return RunReport(
        days=report.days,
        accepted=report.accepted,
        changed=report.changed,
        removed=report.removed,
        late_duplicates=report.late_duplicates,
        seconds=round(seconds, 3),
    )
