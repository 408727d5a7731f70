"""The demo's second act: a contract that was wrong, the dead letters it makes, and the replay that puts them right.

A shop sells tickets. Its contract says that an amount is a whole number, and a third of the tickets cost cents too. The
contract is mended, and a replay brings in what it had refused. All figures are known beforehand by plain arithmetic.

Runs once for each state folder: the next demo finds the rows and compares them again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import msgspec
from confluent_kafka import Producer

from core import control, kafka
from core.clock import SystemClock
from core.errors import UnavailableError
from core.settings import Settings
from core.topics import Topics
from replay import judging
from replay.notice import announcer, tell
from replay.planning import Planner
from replay.plans import Plan, Plans
from replay.running import Runner
from replay.selection import Selection
from replay.suppression import Suppressed
from schemas import envelope, released
from schemas.registry import registry_at
from schemas.released import Released
from sinks.clickhouse import ClickHouse
from sinks.generations.handover import SinkPlans

EVENT = "ticket_sold"
TENANT = "shop"
TICKETS = 300
_IDS = 90_000  # of the two versions; no contract of a user's has such a number
_PATIENCE_S = 60.0
_WINDOW_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Told:
    """What the act has to show. `plan` is None if an earlier demo did it already."""

    dead_letters: int
    plan: Plan | None
    tickets: int
    rollup: int
    amount: str

    @property
    def right(self) -> bool:
        """Whether base and rollup hold every ticket once, and the plan said what happened."""
        planned = self.plan is None or (self.plan.accepted == self.dead_letters and self.plan.removed == 0)
        return planned and (self.tickets, self.rollup, self.amount) == (TICKETS, TICKETS, expected_amount())


class SecondAct:
    def __init__(self, settings: Settings, server: ClickHouse) -> None:
        self._settings = settings
        self._server = server
        self.done = self._count("events") > 0

    def prepare(self) -> None:
        """Release the wrong contract. Early: workers take a release between batches."""
        if not self.done:
            self._release(1)

    def play(self) -> Told:
        """Send, mend, replay, look.

        Raises:
            UnavailableError: something that should be stored is not.
        """
        plan, dead_letters = None, 0
        if not self.done:
            refused = sum(number % 3 == 0 for number in range(TICKETS))
            self._send()
            self._wait(lambda: self._count("events") == TICKETS - refused and self._count("dead_letters") == refused)
            dead_letters = self._count("dead_letters")
            self._release(2)
            plan = self._replay()
        amount = self._server.scalar(
            "SELECT toString(sum(toDecimal64(JSONExtractRaw(properties, 'amount'), 2))) FROM events "
            "WHERE tenant = {tenant:String} AND event = {event:String}",
            tenant=TENANT,
            event=EVENT,
        )
        rollup = self._server.scalar(
            "SELECT sum(events) FROM events_daily WHERE tenant = {tenant:String} AND event = {event:String}",
            tenant=TENANT,
            event=EVENT,
        )
        return Told(dead_letters, plan, self._count("events"), int(rollup), amount)

    def _replay(self) -> Plan:
        registry, rules = judging.in_force(self._settings, registry_at(self._settings.schemas_dir))
        nobody = Suppressed([])
        now_ms = SystemClock().now_ms()
        planner = Planner(self._settings, self._server, registry, rules=rules, suppressed=nobody)
        plan = planner.plan(Selection(from_ms=now_ms - _WINDOW_MS, to_ms=now_ms + 1, tenant=TENANT, event=EVENT))
        sinks = SinkPlans(self._settings)
        runner = Runner(
            self._server,
            contracts=judging.digest(registry, rules),
            plans=sinks,
            suppressed=nobody,
            announce=announcer(self._settings, self._server, sinks),
        )
        tell(self._settings, runner.run(plan, who="sluice demo", why="amounts have cents"))
        return Plans(self._server).plan(plan.id)

    def _release(self, version: int) -> None:
        amount = {
            "name": "amount",
            "type": "int" if version == 1 else "double",
            "pii": "none",
            "doc": "Price in euros.",
        }
        source: dict[str, Any] = {
            "type": "record",
            "name": "TicketSold",
            "namespace": "sluice.events",
            "kind": "event",
            "doc": "A ticket was sold.",
            "fields": [amount],
        }
        each = Released(EVENT, version, _IDS + version, source)
        control.put(self._settings, {each.key: released.encode(each)})

    def _send(self) -> None:
        producer = Producer(kafka.producer(self._settings))
        topic = Topics.named(self._settings.topic_prefix).raw
        for number in range(TICKETS):
            visitor = f"buyer-{number % 50}"
            producer.produce(topic, _record(number, visitor), f"{TENANT}|{visitor}".encode())
        if producer.flush(_PATIENCE_S):
            raise UnavailableError("Kafka does not take the tickets")

    def _count(self, view: str) -> int:
        return int(
            self._server.scalar(
                f"SELECT count() FROM {view} WHERE tenant = {{tenant:String}} AND event = {{event:String}}",  # noqa: S608
                tenant=TENANT,
                event=EVENT,
            )
        )

    def _wait(self, condition: Any) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not condition():
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"{self._count('events')} of {TICKETS} tickets and {self._count('dead_letters')} dead letters are "
                    f"stored after {_PATIENCE_S:g} s",
                    hint="The logs say why: logs/streams.log and logs/sink.log in the state folder.",
                )
            time.sleep(0.1)


def cents(number: int) -> int:
    """Price of a ticket: a third of them is not of whole euros."""
    return (5 + number % 20) * 100 + (50 if number % 3 == 0 else 0)


def expected_amount() -> str:
    euros, rest = divmod(sum(map(cents, range(TICKETS))), 100)
    return f"{euros}.{rest:02d}".rstrip("0").rstrip(".")


def _record(number: int, visitor: str) -> bytes:
    now_ms = SystemClock().now_ms()
    euros, rest = divmod(cents(number), 100)
    payload = {
        "event_id": f"ticket-{number}",
        "event_type": "custom_event",
        "name": EVENT,
        "session_id": f"session-{visitor}",
        "visitor_id": visitor,
        "user_id": "",
        "url": "https://shop.example/tickets",
        "referrer": "",
        "properties": {"amount": euros + rest / 100 if rest else euros},
        "context": {},
        "consent_state": "granted",
        "occurred_at": now_ms,
        "sent_at": 0,
    }
    return envelope.encode(
        head=envelope.Head(EVENT, 0, TENANT, "demo", "demo", historical=False),
        received_at_ms=now_ms,
        payload=msgspec.json.encode(payload),
    )
