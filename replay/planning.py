"""Makes a plan: reads the window, judges it by today's contracts, compares. Changes nothing that anybody reads."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import msgspec

from core.errors import InputError, SluiceError
from core.failpoints import hit
from core.log import get_logger
from core.settings import Settings
from replay import coverage, judging
from replay.ahead import Behind, ahead
from replay.comparing import Comparison
from replay.coverage import Coverage, Place, Span
from replay.holding import holding
from replay.judging import Verdicts
from replay.plans import GapFound, Plan, Plans
from replay.progress import stored_through
from replay.room import without_room
from replay.sampling import field_changes
from replay.scratch import Scratch
from replay.selection import Selection
from replay.source import Source, TruncatedError
from replay.summary import Summary
from replay.suppression import Suppressed
from schemas.contracts import Contracts
from schemas.registry import Registry
from schemas.repairs import Repairs, Rule
from sinks.clickhouse import ClickHouse
from sinks.generations.handover import SinkPlans
from streams.batch import RawRecord
from streams.enrich.chain import Chain

log = get_logger(__name__)

Progress = Callable[[str, int, int], None]  # what is done, records done, records in all
_NO_BUDGET_US = 10**9
_COPIED_ROWS_S = 60_000
_TRIES = 3
_NO_ROOM = "Nothing was changed. Make room: `sluice replay prune` and `sluice generations prune` delete what is old."


@dataclass(frozen=True, slots=True)
class Options:
    """`place` reads from one place only; `rate` is records a second at most, 0 for as fast as it goes; `shadow` is for
    contracts that are not in force: such a plan is never run.
    """

    place: Place | None = None
    rate: int = 0
    shadow: bool = False
    enrich: bool = True


class Planner:
    """Makes plans with the contracts of `registry`, and `rules` that repair what they refuse."""

    def __init__(
        self,
        settings: Settings,
        server: ClickHouse,
        registry: Registry,
        *,
        rules: Sequence[Rule],
        suppressed: Suppressed,
        progress: Progress = lambda _what, _done, _total: None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._settings = settings
        self._server = server
        self._registry = registry
        self._rules = rules
        self._suppressed = suppressed
        self._progress = progress
        self._now_ms = now_ms

    def plan(self, selection: Selection, options: Options | None = None) -> Plan:
        """Make and keep a plan.

        Raises:
            InputError: the window is empty, in the future, or holds nothing that is kept anywhere.
            DiskFullError: ClickHouse has no room for the working tables.
            UnavailableError, InvariantError: see `Source`.
        """
        options = options or Options()
        started, at_ms = time.monotonic(), self._now_ms()
        selection.check(now_ms=at_ms)
        name = f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y%m%d_%H%M%S}_{secrets.token_hex(3)}"
        scratch = Scratch(self._server, name)
        with holding(self._server, name, who="sluice replay plan"):
            try:
                plan = self._made(selection, options, scratch, at_ms)
                plan = msgspec.structs.replace(plan, seconds=round(time.monotonic() - started, 3))
                Plans(self._server).keep(plan)
            except BaseException as error:
                with suppress(SluiceError):
                    scratch.drop()
                if (full := without_room(error, hint=_NO_ROOM)) is not None:
                    raise full from error
                raise
        return plan

    def _made(self, selection: Selection, options: Options, scratch: Scratch, at_ms: int) -> Plan:
        """What retention deletes from Kafka while it is read is looked for anew: the archive may have it."""
        for left in reversed(range(_TRIES)):
            through = stored_through(self._settings, self._server, SinkPlans(self._settings))
            found = self._coverage(selection, through, options.place)
            if not found.spans and not found.gaps:
                raise InputError(
                    "no raw record that the pipeline is done with arrived in the window",
                    hint=f"Selected: {selection.describe()}. `sluice replay coverage` says what is kept.",
                )
            hit("replay.after_coverage")
            scratch.create()
            spans = self._narrowed(found.spans, selection)
            try:
                self._read(spans, selection, scratch, options)
                break
            except TruncatedError as error:
                log.warning("replay.truncated", plan=scratch.name, error=error.message)
                if not left:
                    raise
        self._progress("comparing", 0, 1)
        comparison = Comparison(self._server, scratch, days=self._days(scratch, selection))
        comparison.run(spans, self._suppressed)
        self._progress("comparing", 1, 1)
        summary = Summary(self._server, scratch)
        by_change, becoming = summary.by("change"), summary.by("becomes")
        days = summary.days()
        return Plan(
            id=scratch.name,
            at_ms=at_ms,
            selection=selection,
            contracts=judging.digest(self._registry, self._rules),
            versions={each: self._registry.latest(each).version for each in self._registry.subjects("event")},
            shadow=options.shadow,
            through=through,
            from_kafka=sum(span.records for span in found.spans if span.place == "kafka"),
            from_archive=sum(span.records for span in found.spans if span.place == "archive"),
            gaps=[GapFound(gap.number, gap.first, gap.last, gap.reason) for gap in found.gaps],
            selected=sum(by_change.values()),
            accepted=by_change.get("accepted", 0),
            changed=by_change.get("changed", 0),
            unchanged=by_change.get("unchanged", 0),
            removed=by_change.get("removed", 0),
            still=by_change.get("still", 0),
            suppressed=becoming.get("suppressed", 0),
            duplicates=becoming.get("duplicate", 0),
            refusals=summary.refusals(),
            fields=field_changes(self._server, scratch, self._registry, comparison.compared),
            days=days,
            rollups=summary.rollups([each.day for each in days]),
            seconds=0.0,
            behind=found.behind,
            emptied=summary.emptied(),
            estimate_s=round(sum(each.before + each.after for each in days) / _COPIED_ROWS_S + 2 * len(days), 1),
        )

    def _coverage(self, selection: Selection, through: Mapping[int, int], place: Place | None) -> Coverage:
        return coverage.cover(
            selection,
            in_kafka=coverage.look_in_kafka(self._settings, selection),
            archived=coverage.look_in_archive(self._settings, self._server, selection),
            through=through,
            place=place,
        )

    def _narrowed(self, spans: Sequence[Span], selection: Selection) -> list[Span]:
        """Only those parts of `spans` in which a dead letter of the wanted cause lies."""
        if not selection.dead_letters_only:
            return list(spans)
        out = []
        for span in spans:
            found = self._server.rows(
                f"SELECT intDiv(raw_offset, 10000) AS part, min(raw_offset), max(raw_offset) FROM dead_letters "  # noqa: S608
                f"WHERE {_OF_CAUSE} GROUP BY part ORDER BY part",
                **_cause(selection, span.number, span.first, span.last),
            )
            out += [replace(span, first=first, last=last) for _, first, last in found]
        return out

    def _read(self, spans: Sequence[Span], selection: Selection, scratch: Scratch, options: Options) -> None:
        chain = Chain(replace(self._settings, enrich_budget_us=_NO_BUDGET_US)) if options.enrich else None
        judge = judging.Judging(selection, contracts=Contracts(self._registry, Repairs(self._rules)), chain=chain)
        total, done, started = sum(span.records for span in spans), 0, time.monotonic()
        source = Source(self._settings, self._server)
        batches = ahead((span.number, records) for span in spans for records in source.read(span))
        # While one batch is judged, the next is read and the last is stored.
        with closing(source), closing(batches), Behind() as behind:
            for number, records in batches:
                verdicts = judge.judge(number, records, only=self._dead_letters(number, records, selection))
                behind.do(partial(_stored, scratch, number, verdicts))
                done += len(records)
                self._progress("reading", done, total)
                if options.rate and (early_s := done / options.rate - (time.monotonic() - started)) > 0:
                    time.sleep(early_s)

    def _dead_letters(self, number: int, records: Sequence[RawRecord], selection: Selection) -> set[int] | None:
        """Raw offsets among `records` of dead letters of the wanted cause; None if no cause is wanted."""
        if not selection.dead_letters_only:
            return None
        bound = _cause(selection, number, records[0].offset, records[-1].offset)
        return {
            offset
            for (offset,) in self._server.rows(f"SELECT raw_offset FROM dead_letters WHERE {_OF_CAUSE}", **bound)  # noqa: S608
        }

    def _days(self, scratch: Scratch, selection: Selection) -> tuple[str, str]:
        """Arrival days of what was read: offsets may have been named beyond the window."""
        found = self._server.rows(
            f"SELECT min(day), max(day), count() FROM (SELECT toDate(arrival_at) AS day FROM {scratch.rows} "  # noqa: S608
            f"UNION ALL SELECT toDate(arrival_at) FROM {scratch.refused})"
        )[0]
        return (found[0], found[1]) if found[2] else selection.days


_OF_CAUSE = (
    "raw_partition = {number:UInt32} AND raw_offset BETWEEN {first:UInt64} AND {last:UInt64} "
    "AND ({code:String} = '' OR code = {code:String}) AND ({print:String} = '' OR fingerprint = {print:String})"
)


def _stored(scratch: Scratch, number: int, verdicts: Verdicts) -> None:
    scratch.add_rows(verdicts.curated)
    scratch.add_refused(number, verdicts.dead_letters, verdicts.repeats)


def _cause(selection: Selection, number: int, first: int, last: int) -> dict[str, str | int]:
    return {
        "number": number,
        "first": first,
        "last": last,
        "code": selection.code,
        "print": selection.fingerprint,
    }
