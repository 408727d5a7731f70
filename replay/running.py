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

from core.errors import ExitCode, InputError, RefusedError, SluiceError, UnavailableError
from core.failpoints import hit
from core.log import get_logger
from replay.holding import HeldError, holding
from replay.plans import DayResult, Plan, Plans, Run, RunReport, RunState
from replay.room import without_room
from replay.scratch import Scratch
from replay.suppression import Suppressed
from sinks.clickhouse import ClickHouse, UncertainError
from sinks.generations.handover import Plans as SinkState
from sinks.generations.record import Claim, Record
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
# How often a run goes on by itself after ClickHouse was away, how long it waits for it, and how long between two looks.
_TRIES = 5
_AWAY_S = 120.0
_BETWEEN_LOOKS_S = 0.5
_GOES_ON = "The same command goes on with it; `sluice replay cancel` gives it up."


class CancelledError(SluiceError):
    """The run was cancelled while it worked; nothing of it is visible."""

    code = "cancelled"
    exit_code = ExitCode.INTERRUPTED


class Runner:
    """Carries out one plan under one name; calling `run` again goes on. `rate` is rows a second at most, 0 for as fast
    as it goes.
    """

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

    def run(self, plan: Plan, *, who: str, why: str, remove_all: bool = False) -> Run:
        """Do what `plan` says, or go on with it; `remove_all` where an event of it would have no row any more, too.

        Raises:
            InputError: the plan cannot be run: it is a shadow, has gaps, changes nothing or was run already.
            RefusedError: contracts or days are not what they were when it was made.
            HeldError: another process works on it.
            DiskFullError: ClickHouse has no room for the hidden generations.
            CancelledError: somebody cancelled it.
            InvariantError: a day did not verify; nothing is visible.
        """
        name = RUN_PREFIX + plan.id
        with holding(self._server, name, who=who):
            known = next((each for each in self._kept.runs() if each.id == name), None)
            if known is not None and known.state == "published":
                return known
            restatement = Restatement(self._server, name, why=why)
            if not restatement.published():
                self._check(plan, known, remove_all=remove_all)
            run = Run(id=name, plan=plan.id, state="running", who=who, why=why, report=RunReport())
            return self._run(plan, run, restatement)

    def _run(self, plan: Plan, run: Run, restatement: Restatement) -> Run:
        started = time.monotonic()
        self._kept.note(run)
        try:
            report = self._patiently(plan, restatement)
        except CancelledError:
            restatement.drop()
            self._kept.note(_ended(run, "cancelled"))
            raise
        except SluiceError as error:
            full = without_room(error, hint=f"Nothing was published. Make room. {_GOES_ON}")
            self._note_failure(_ended(run, "failed", error=(full or error).message))
            if full is not None:
                raise full from error
            error.hint = error.hint or _GOES_ON
            raise
        published = _ended(run, "published", report=_with_seconds(report, time.monotonic() - started))
        self._kept.note(published)
        return published

    def _note_failure(self, run: Run) -> None:
        try:
            self._kept.note(run)
        except SluiceError as error:
            log.warning("replay.failure_not_noted", run=run.id, error=error.message)

    def _patiently(self, plan: Plan, restatement: Restatement) -> RunReport:
        """Work; where ClickHouse went away, wait until it is back and go on with what was verified."""
        for left in reversed(range(_TRIES)):
            try:
                return self._work(plan, restatement)
            except UnavailableError as error:
                # That sinks are behind is nothing that waiting here would mend.
                was_away = isinstance(error, UncertainError) or not self._answers()
                if not left or not was_away or not self._is_back():
                    raise
                log.warning("replay.clickhouse_was_away", run=restatement.run, error=error.message)
        raise AssertionError

    def _is_back(self) -> bool:
        deadline = time.monotonic() + _AWAY_S
        while not self._answers():
            if time.monotonic() > deadline:
                return False
            time.sleep(_BETWEEN_LOOKS_S)
        return True

    def _answers(self) -> bool:
        try:
            return bool(self._server.scalar("SELECT 1"))
        except SluiceError:
            return False

    def _work(self, plan: Plan, restatement: Restatement) -> RunReport:
        scratch = Scratch(self._server, plan.id)
        if not restatement.published():
            self._stage(plan, restatement, scratch)
            self._stop_if_cancelled(plan)
            hit("replay.before_publish")
        claims = restatement.publish()
        hit("replay.after_publish")
        late = int(self._server.scalar(f"SELECT count() FROM {scratch.late}"))  # noqa: S608 (a name of ours)
        return RunReport(
            days=[self._result(scratch, claim) for claim in claims],
            accepted=plan.accepted - late,
            changed=plan.changed,
            removed=plan.removed,
            late_duplicates=late,
        )

    def _stage(self, plan: Plan, restatement: Restatement, scratch: Scratch) -> None:
        """Fill and verify a generation of each day."""
        days = [each.day for each in plan.days]
        hit("replay.before_announce")
        self._announce(plan, scratch)
        hit("replay.after_announce")
        stages = restatement.begin(days, plans=self._sinks, handover_s=self._handover_s)
        self._suppressed.create(self._server, plan=plan.id)
        try:
            self._settle_late(scratch)
            done = 0
            for stage in stages:
                done += self._day(stage, scratch, plan, done)
                hit("replay.after_day")
        finally:
            self._suppressed.drop(self._server)

    def _check(self, plan: Plan, known: Run | None, *, remove_all: bool) -> None:
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
        if plan.emptied and not remove_all:
            what = ", ".join(f"{event} ({rows} rows)" for event, rows in plan.emptied.items())
            raise InputError(
                f"today's contracts refuse every record that the plan {plan.id} selects of {what}",
                hint="Nothing was published. Is it the contract that is wrong? If the rows shall go: --remove-all.",
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

    def _settle_late(self, scratch: Scratch) -> None:
        """Note accepted records whose id came live between plan and announcement: they are duplicates now."""
        self._server.execute(f"TRUNCATE TABLE {scratch.late}")
        for part, _ in scratch.parts("accepted", most=_IDS_AT_ONCE):
            accepted = f"{part} AND {scratch.that('accepted', within=part)}"
            self._server.execute(
                f"INSERT INTO {scratch.late} SELECT raw_partition, raw_offset FROM {scratch.rows} WHERE {accepted} "  # noqa: S608
                "AND (tenant, event_id) IN (SELECT tenant, event_id FROM events WHERE (tenant, event_id) IN "
                f"(SELECT tenant, event_id FROM {scratch.rows} WHERE {accepted}) AND NOT {scratch.that('removed')})"
            )

    def _day(self, stage: Stage, scratch: Scratch, plan: Plan, done: int) -> int:
        """Fill and verify `stage`, unless that was done; returns the number of its rows. `done` are those so far."""
        total = sum(each.after for each in plan.days)
        if not stage.verified:
            self._server.execute(
                "INSERT INTO replaced_rows (arrival_day, generation, raw_partition, raw_offset) "  # noqa: S608
                f"SELECT arrival_day, {{generation:UInt32}}, raw_partition, raw_offset FROM {scratch.changes} "
                "WHERE arrival_day = {day:Date} AND change IN ('changed', 'removed')",
                day=stage.day,
                generation=stage.generation,
            )
            put = self._put(stage, scratch, plan, lambda rows: self._progress("staging", done + rows, total))

            def carrying(rows: int, _total: int) -> None:
                self._stop_if_cancelled(plan)
                self._progress("staging", min(done + rows, total), total)

            carried = stage.carry(f"NOT {self._suppressed.condition()}", progress=carrying)
            self._outcomes(stage, scratch, plan)
            self._progress("verifying", min(done + put + carried, total), total)
            stage.verify(rows=put + carried)
        return next(each.after for each in plan.days if each.day == stage.day)

    def _result(self, scratch: Scratch, claim: Claim) -> DayResult:
        before, hash_before = self._content(scratch, claim.day, claim.replaces)
        after, hash_after = self._content(scratch, claim.day, [claim.generation])
        return DayResult(claim.day, claim.generation, before, after, hash_before, hash_after)

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


def cancel(server: ClickHouse, run: Run, *, who: str, why: str) -> bool:
    """Give `run` up. Whoever works on it is asked to; False if that is still to come.

    Raises:
        RefusedError: it was published.
    """
    kept = Plans(server)
    try:
        with holding(server, run.id, who=who):
            Restatement(server, run.id, why=why).drop()
            kept.note(Run(id=run.id, plan=run.plan, state="cancelled", who=who, why=why, report=run.report))
    except HeldError:
        kept.note(Run(id=run.id, plan=run.plan, state="cancelling", who=who, why=why, report=run.report))
        return False
    return True


def rollback(server: ClickHouse, run: Run, *, suppressed: Suppressed, who: str, why: str) -> Run:
    """Show again what `run` replaced.

    Raises:
        RefusedError: it is not published, a later run built on it, or a suppressed subject would come back.
    """
    with holding(server, run.id, who=who):
        _refuse_if_suppressed(server, run, suppressed)
        Restatement(server, run.id, why=why).rollback()
        done = Run(id=run.id, plan=run.plan, state="rolled_back", who=who, why=why, report=run.report)
        Plans(server).note(done)
    return done


def _refuse_if_suppressed(server: ClickHouse, run: Run, suppressed: Suppressed) -> None:
    suppressed.create(server, plan=run.plan)
    try:
        for claim in Record(server).of_run(run.id):
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


def _ended(run: Run, state: RunState, *, report: RunReport | None = None, error: str = "") -> Run:
    return Run(id=run.id, plan=run.plan, state=state, who=run.who, why=run.why, report=report or RunReport(error=error))


def _with_seconds(report: RunReport, seconds: float) -> RunReport:
    return RunReport(
        days=report.days,
        accepted=report.accepted,
        changed=report.changed,
        removed=report.removed,
        late_duplicates=report.late_duplicates,
        seconds=round(seconds, 3),
    )
