"""Who else has to know of a run: the live dedupe windows before it, the audit trail and consumers after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from core import control
from core.beside import Beside
from core.clock import SystemClock
from core.ids import dedupe_id
from core.lanes import Lanes
from core.settings import Settings
from core.topics import Topics
from replay.plans import Plan, Run
from replay.progress import wait_until_stored
from replay.running import Announce
from replay.scratch import Scratch
from schemas import audit, record
from schemas.audit import Audit
from schemas.registry import bundled
from sinks.clickhouse import ClickHouse
from sinks.generations.handover import Committed
from streams.restated import Restated, announce_restated

_STORED_S = 60.0
_IDS_AT_ONCE = 100_000


def announcer(settings: Settings, server: ClickHouse, plans: Callable[[], Mapping[int, Committed]]) -> Announce:
    """Makes the ids that a plan accepts known to the live dedupe windows, and waits until all that these let through
    before is stored: from then on the tables show every event of these ids that came live.

    Raises:
        UnavailableError: workers have not taken them, or sinks have not stored what there was. Announcing again does no
            harm.
    """

    def announce(plan: Plan, scratch: Scratch) -> None:
        announce_restated(settings, _accepted(server, scratch), run=plan.id)
        wait_until_stored(settings, plans, partitions=len(Lanes.of(settings).numbers), timeout_s=_STORED_S)

    return announce


def _accepted(server: ClickHouse, scratch: Scratch) -> Iterator[Restated]:
    for part, _ in scratch.parts("accepted", most=_IDS_AT_ONCE):
        for number, offset, tenant, event_id in server.rows(
            f"SELECT raw_partition, raw_offset, tenant, event_id FROM {scratch.rows} WHERE {part} "  # noqa: S608
            f"AND {scratch.that('accepted', within=part)}"
        ):
            yield Restated(number, offset, dedupe_id(tenant, event_id))


def tell(settings: Settings, run: Run) -> None:
    """Say what became of `run`: in the audit trail, and on the topic that whoever copies rows listens to.

    Raises:
        UnavailableError: Kafka does not store it; saying it again does no harm.
    """
    topics = Topics.named(settings.topic_prefix)
    at_ms = SystemClock().now_ms()
    days = [each.day for each in run.report.days]
    told = Audit(
        at=at_ms,
        action=f"replay.{run.state}",
        actor=run.who,
        subject=run.id,
        detail={
            "plan": run.plan,
            "why": run.why,
            **{
                each.day: f"generation {each.generation}: {each.before} rows {each.hash_before}, "
                f"then {each.after} rows {each.hash_after}"
                for each in run.report.days
            },
        },
    )
    notice = {
        "run": run.id,
        "action": run.state,
        "at": at_ms,
        "who": run.who,
        "why": run.why,
        "days": days,
        "accepted": run.report.accepted,
        "changed": run.report.changed,
        "removed": run.report.removed,
    }
    key = run.id.encode()
    control.put(
        settings,
        {},
        first=(
            Beside(topics.audit, key, audit.encode(told)),
            Beside(topics.restatements, key, record.write(bundled().get("restatement", 1), notice)),
        ),
    )
