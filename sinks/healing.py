"""Days that an insert in doubt touched are looked at, and made whole if a rollup differs, in a thread of their own.

A materialized view's target has a deduplication log of its own, written before the part is renamed like the base's: a
kill in between leaves a token that answers "already inserted" and a rollup that is short by a block. Totals tell, once
the blocks that were on their way are stored; then a recount says for certain, and the day is rebuilt.

The sink goes on meanwhile; it has to, because a look and a rebuild wait for its plans. A sink that is killed leaves the
run it was at, and whichever starts next goes on with it and looks at the last two days. Two sinks that are at the same
day do not spoil it: a rebuild that was overtaken by another's does not verify, and only one is published.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from core.errors import RefusedError, SluiceError, UnavailableError
from core.log import get_logger
from core.settings import Settings
from sinks import recount
from sinks.clickhouse import ClickHouse
from sinks.generations.cut import cut
from sinks.generations.handover import HANDOVER_S, Plans, SinkPlans, wait_for_sinks
from sinks.generations.record import Phase, Record
from sinks.rebuild import rebuild
from sinks.rollups import Rollup, discover, totals

log = get_logger(__name__)

RUN_PREFIX = "heal-"
_RETRY_S = 5.0
_TRIES = 60
_LOOKS = 40
_BETWEEN_LOOKS_S = 0.25
_LAST_DAYS = (
    "SELECT DISTINCT toString(arrival_day) FROM events_log WHERE arrival_day >= "
    "(SELECT max(arrival_day) FROM events_log) - 1"
)


class DayHealer:
    """Takes days, one after the other. The thread starts with the first."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._wanted: queue.Queue[str] = queue.Queue()
        self._waiting: set[str] = set()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None

    def request(self, day: str) -> None:
        """Have `day` looked at, unless it is waiting for that already. Does not block."""
        with self._guard:
            if day in self._waiting:
                return
            self._waiting.add(day)
            self._wanted.put(day)
            if self._thread is None:
                # A daemon: what it leaves half done at the end is gone on with at the next start.
                self._thread = threading.Thread(target=self._run, name="day-healer", daemon=True)
                self._thread.start()

    def resume(self) -> None:
        """Go on with days that a sink was at when it was killed, and look at those that it may have been about to.

        Raises:
            UnavailableError: the server is away.
        """
        for claim in Record(ClickHouse(self._settings)).runs():
            if claim.run.startswith(RUN_PREFIX) and claim.phase.holds:
                self.request(claim.day)
        for (day,) in ClickHouse(self._settings).rows(_LAST_DAYS):
            self.request(day)

    def _run(self) -> None:
        server = ClickHouse(self._settings)
        plans = SinkPlans(self._settings)
        again = threading.Event()  # never set: a wait that ends with the process
        while True:
            day = self._wanted.get()
            with self._guard:
                self._waiting.discard(day)
            for _ in range(_TRIES):
                try:
                    if suspicious(server, day, plans=plans):
                        heal(server, day, plans=plans)
                except (RefusedError, UnavailableError) as error:
                    # Another run is at the day, or a server is away.
                    log.warning("sink.day_not_healed_yet", day=day, error=error.message)
                    again.wait(_RETRY_S)
                    continue
                except SluiceError as error:
                    log.exception("sink.day_not_healed", day=day, error=error.message)
                except Exception:
                    log.exception("sink.day_not_healed", day=day)
                break
            else:
                log.error("sink.day_not_healed", day=day)


def suspicious(server: ClickHouse, day: str, *, plans: Plans, sleep: Callable[[float], None] = time.sleep) -> list[str]:
    """Rollups whose totals of `day` were at no look those of the base. Cheap, and no proof: blocks come in meanwhile.

    Raises:
        UnavailableError: a server is away, or sinks have not finished what they had begun.
    """
    # A block in doubt is in the base before it is in the views, and not only for a moment.
    wait_for_sinks(plans, timeout_s=HANDOVER_S)
    generations = Record(server).visible([day])[day]
    open_ = [(rollup, generation) for rollup in discover(server) for generation in generations]
    for _ in range(_LOOKS):
        open_ = [(rollup, generation) for rollup, generation in open_ if _short(server, rollup, day, generation)]
        if not open_:
            return []
        sleep(_BETWEEN_LOOKS_S)
    found = sorted({rollup.target for rollup, _ in open_})
    log.warning("sink.rollups_differ", day=day, rollups=found)
    return found


def _short(server: ClickHouse, rollup: Rollup, day: str, generation: int) -> bool:
    base, have = totals(server, rollup, day, generation)
    return base != have


def heal(server: ClickHouse, day: str, *, plans: Plans) -> bool:
    """Rebuild `day` if a rollup of it really differs; whether it did.

    Raises:
        RefusedError: another run holds the day, or its events are deleted.
        UnavailableError: a server is away, or sinks have not finished what they had begun.
        InvariantError: the new generation is not whole. Nothing was published.
    """
    record = Record(server)
    mine = [each for each in record.runs() if each.day == day and each.run.startswith(RUN_PREFIX)]
    unfinished = next((each.run for each in mine if each.phase.holds), None)
    if unfinished is None and not _differs(server, record, day, plans):
        return False
    run = unfinished or f"{RUN_PREFIX}{day}-{1 + sum(each.phase is not Phase.DROPPED for each in mine)}"
    rebuild(server, [day], run=run, plans=plans, why="a rollup differed from a recount after an insert in doubt")
    log.warning("sink.day_healed", day=day, run=run)
    return True


def _differs(server: ClickHouse, record: Record, day: str, plans: Plans) -> bool:
    def found() -> bool:
        return any(recount.differences(server, day, generation) for generation in record.visible([day])[day])

    try:
        return found()
    except recount.MovingError:
        cut(server, day, plans=plans)
    # What stands still now is compared for certain; the generation that is live since is a moment old.
    live = record.next_generations([day])[day] - 1
    return any(
        recount.differences(server, day, generation) for generation in record.visible([day])[day] if generation < live
    )
