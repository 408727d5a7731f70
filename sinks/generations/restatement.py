"""A run that restates days: begin, publish, roll back, drop. Each may be killed anywhere and called again.

Each of them claims the days, looks whether another run does too, and then makes its change with one insert under the
version of the claim (`record`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from core.errors import InputError, RefusedError
from core.failpoints import hit
from core.log import get_logger
from sinks.clickhouse import ClickHouse
from sinks.generations.handover import HANDOVER_S, Plans, wait_for_sinks
from sinks.generations.record import Claim, Entry, Phase, Record, State, in_phase
from sinks.generations.staging import Stage
from sinks.retention import marks

log = get_logger(__name__)

_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")
# Nothing is left to do but to publish. A run that was killed at that is in the second.
_VERIFIED = frozenset({Phase.STAGED, Phase.PUBLISHING})


class Restatement:
    """What one run does with generations. `run` is its name for good: whoever goes on with it uses the same.

    One process at a time works on a run; that is the caller's to see to. One that was frozen and wakes up shows nothing
    that was not verified, and undoes nothing that was done since.
    """

    def __init__(self, server: ClickHouse, run: str, *, why: str = "") -> None:
        """Raises InputError if `run` cannot be a name."""
        if not _RUN.fullmatch(run):
            raise InputError(f"{run!r} cannot name a run", hint="Letters, digits, `.`, `_`, `:` and `-`, at most 100.")
        self._server = server
        self._record = Record(server)
        self.run = run
        self._why = why

    def begin(self, days: Iterable[str], *, plans: Plans, handover_s: float = HANDOVER_S) -> list[Stage]:
        """Claim `days` (ISO 8601) and open a hidden generation of each; days that were verified already keep theirs.

        On return live rows of these days go to the stages' tails, and what the stages replace stands still.

        Raises:
            RefusedError: another run holds one of the days, or this run was published.
            UnavailableError: sinks have not finished what they had begun; call again.
        """
        wanted = sorted(set(days))
        mine = self._mine()
        if over := [each for each in mine if each.phase not in {Phase.STAGING, *_VERIFIED}]:
            raise RefusedError(f"the run {self.run} is {over[0].phase}: a new one needs another name")
        self._refuse_if_held(wanted)
        kept = {each.day: each for each in mine if each.phase in _VERIFIED and each.day in wanted}
        opened = self._open([day for day in wanted if day not in kept])
        hit("generations.after_claim")
        curated = wait_for_sinks(plans, timeout_s=handover_s)
        hit("generations.after_handover")
        log.info("generations.handed_over", run=self.run, days=wanted, curated=curated)
        return [self._stage(kept.get(day) or opened[day]) for day in wanted]

    def publish(self) -> list[Claim]:
        """Show the run's generations in the place of those they replace, all days at once.

        Calling it again after it was done changes nothing.

        Raises:
            RefusedError: a day of the run is not verified, or there is none.
        """
        mine = self._mine()
        if mine and all(each.phase is Phase.PUBLISHED for each in mine):
            return mine
        unfit = [each for each in mine if each.phase not in _VERIFIED]
        if unfit or not mine:
            what = f"{unfit[0].day} is {unfit[0].phase}" if unfit else "it has no day"
            raise RefusedError(f"the run {self.run} cannot be published: {what}", hint="Every day must be verified.")
        version = self._record.claim(in_phase(mine, Phase.PUBLISHING, why=self._why))
        if not self._is_shown(mine):
            self._refuse_if_moved(mine)
            hit("generations.before_publish")
            shown = [_entry(each, State.PUBLISHED, visible=True) for each in mine]
            self._record.show([*shown, *_replaced(mine, State.SUPERSEDED)], version=version)
            hit("generations.after_publish")
        done = in_phase(mine, Phase.PUBLISHED, why=self._why)
        self._record.claim(done)
        self._forget_scratch(mine)
        log.info("generations.published", run=self.run, days=[each.day for each in mine])
        return done

    def published(self) -> list[Claim]:
        """The run's claims if it was published, also by one that was killed before it said so; else none."""
        mine = self._mine()
        done = bool(mine) and all(each.phase is Phase.PUBLISHED for each in mine)
        under_way = any(each.phase is Phase.PUBLISHING for each in mine)
        return mine if done or (under_way and self._is_shown(mine)) else []

    def rollback(self) -> list[Claim]:
        """Show again what the run replaced, all days at once. Rows that came live since are in the tails and stay.

        Calling it again after it was done changes nothing.

        Raises:
            RefusedError: the run is not published, a later run built on it, or what it replaced is deleted.
        """
        mine = self._mine()
        if mine and all(each.phase is Phase.ROLLED_BACK for each in mine):
            return mine
        if not mine or any(each.phase not in {Phase.PUBLISHED, Phase.ROLLING_BACK} for each in mine):
            raise RefusedError(f"the run {self.run} is not published: there is nothing to roll back")
        version = self._record.claim(in_phase(mine, Phase.ROLLING_BACK, why=self._why))
        hit("generations.rolling_back")
        if not self._is_rolled_back(mine):
            try:
                self._refuse_if_held([each.day for each in mine])
                self._refuse_if_built_upon(mine)
            except RefusedError:
                self._record.claim(in_phase(mine, Phase.PUBLISHED))
                raise
            hit("generations.before_rollback")
            hidden = [_entry(each, State.ROLLED_BACK, visible=False) for each in mine]
            self._record.show([*hidden, *_replaced(mine, State.RESTORED)], version=version)
            hit("generations.after_rollback")
        done = in_phase(mine, Phase.ROLLED_BACK, why=self._why)
        self._record.claim(done)
        log.info("generations.rolled_back", run=self.run, days=[each.day for each in mine])
        return done

    def drop(self) -> list[Claim]:
        """Give the run up before it is published. Its rows are deleted by the next pruning.

        Raises:
            RefusedError: it is published, or was.
        """
        mine = self._mine()
        published = any(each.phase in {Phase.PUBLISHED, Phase.ROLLING_BACK, Phase.ROLLED_BACK} for each in mine)
        made = [each for each in mine if each.generation]  # a cut and a pruning only hold the day
        if published or self._is_shown(made):
            raise RefusedError(f"the run {self.run} was published", hint="Roll it back instead.")
        if not mine:
            return []
        version = self._record.claim(mine)
        # Not only its own: a publishing insert that was given up on may still arrive, and is older than this.
        shown = self._record.visible({each.day for each in made})
        hidden = [_entry(each, State.DROPPED, visible=False) for each in made]
        kept = [each for each in _replaced(made, State.RESTORED) if each.generation in shown[each.day]]
        if hidden:
            self._record.show([*hidden, *kept], version=version)
        self._record.claim(done := in_phase(mine, Phase.DROPPED, why=self._why))
        self._forget_scratch(mine)
        return done

    # -- days

    def _mine(self) -> list[Claim]:
        return [each for each in self._record.of_run(self.run) if each.phase is not Phase.DROPPED]

    def _open(self, days: Sequence[str]) -> dict[str, Claim]:
        """Claims of `days`, each with a new hidden generation and its tail."""
        if not days:
            return {}
        # Its rollups may outlive it: a day made anew from what is left would be shown in their place.
        kept = marks.gone_before(self._server, "events").get("", "")
        if gone := [day for day in days if day < kept]:
            raise RefusedError(f"the events of {gone[0]} were deleted by retention: the day cannot be restated")
        numbers = self._record.next_generations(days)
        claims = [
            Claim(day=day, run=self.run, phase=Phase.STAGING, generation=numbers[day], why=self._why) for day in days
        ]
        version = self._record.claim(claims)
        try:
            self._refuse_if_held(days)
        except RefusedError:
            self._record.claim(in_phase(claims, Phase.DROPPED))
            raise
        shown = self._record.visible(days)
        claims = [replace(each, replaces=tuple(g for g in shown[each.day] if g < each.generation)) for each in claims]
        hidden = [_entry(each, State.HIDDEN, visible=False) for each in claims]
        tails = [replace(each, generation=each.generation + 1, visible=True, live=True) for each in hidden]
        self._record.show([*hidden, *(replace(each, state=State.LIVE) for each in tails)], version=version)
        self._record.claim(claims)
        return {each.day: each for each in claims}

    def _stage(self, claim: Claim) -> Stage:
        return Stage(self._server, self._record, replace(claim, why=self._why or claim.why))

    def _is_shown(self, mine: Sequence[Claim]) -> bool:
        shown = self._record.visible({each.day for each in mine})
        return bool(mine) and all(each.generation in shown[each.day] for each in mine)

    def _is_rolled_back(self, mine: Sequence[Claim]) -> bool:
        found = {(each.day, each.generation): each.state for each in self._record.entries({c.day for c in mine})}
        return all(found.get((each.day, each.generation)) is State.ROLLED_BACK for each in mine)

    def _refuse_if_moved(self, mine: Sequence[Claim]) -> None:
        shown = self._record.visible({each.day for each in mine})
        for each in mine:
            if not set(each.replaces) <= set(shown[each.day]):
                raise RefusedError(
                    f"{each.day}: readers see the generations {shown[each.day]}, and the run {self.run} was made to "
                    f"replace {each.replaces}",
                    hint="Drop the run and plan again.",
                )

    def _refuse_if_held(self, days: Sequence[str]) -> None:
        for each in self._record.holders(days, but=self.run):
            raise RefusedError(
                f"the run {each.run} holds {each.day}: it is {each.phase}",
                hint="Let it finish, or give it up: sluice generations drop.",
            )

    def _refuse_if_built_upon(self, mine: Sequence[Claim]) -> None:
        found = {(each.day, each.generation): each for each in self._record.entries({each.day for each in mine})}
        for each in mine:
            now = found[each.day, each.generation]
            if not now.visible:
                raise RefusedError(f"the run {now.run} built on {each.day}: roll that back first")
            for generation in each.replaces:
                before = found.get((each.day, generation))
                if before is not None and before.state is State.PRUNED:
                    raise RefusedError(f"generation {generation} of {each.day}, which it replaced, is deleted")

    def _forget_scratch(self, mine: Sequence[Claim]) -> None:
        for each in mine:
            self._server.execute(f"ALTER TABLE replaced_rows DROP PARTITION tuple('{each.day}', {each.generation})")


def _entry(claim: Claim, state: State, *, visible: bool) -> Entry:
    return Entry(day=claim.day, generation=claim.generation, visible=visible, state=state, run=claim.run)


def _replaced(claims: Iterable[Claim], state: State) -> list[Entry]:
    """What becomes of the generations that `claims` replace."""
    return [
        Entry(day=each.day, generation=generation, visible=state is State.RESTORED, state=state, run=each.run)
        for each in claims
        for generation in each.replaces
    ]
