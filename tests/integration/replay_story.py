"""The story that replay exists for, with everything known beforehand: events over several days, a contract that refuses
a part of two of them, the contract mended.

`Story` sends raw records with arrival times of its choice and knows by plain arithmetic what every table must hold
before and after.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import msgspec
from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from core import control, kafka
from core.settings import Settings
from core.topics import Topics
from schemas import envelope, released
from schemas.released import Released

DAYS = ("2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05")
BROKEN_DAYS = DAYS[1:3]
BROKEN_SHARE = 0.3
_DAY_MS = 86_400_000
_FIRST_MS = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp() * 1000)
SUBJECT = "ticket_bought"
_TENANTS = ("acme", "bolt")


@dataclass(frozen=True, slots=True)
class Event:
    """One raw record of the story. `refused` is what the first contract does with it."""

    number: int
    tenant: str
    visitor: str
    day: str
    arrival_ms: int
    page_view: bool
    refused: bool

    @property
    def event_id(self) -> str:
        return f"story-{self.number}"


@dataclass
class Story:
    settings: Settings
    size: int
    seed: int = 1
    repeats: float = 0.02
    failures: list[str] = field(default_factory=list)

    @cached_property
    def events(self) -> list[Event]:
        random_ = random.Random(self.seed)
        out = []
        for number in range(self.size):
            day = number * len(DAYS) // self.size
            at = _FIRST_MS + day * _DAY_MS + (number * 997) % (_DAY_MS // 2) + _DAY_MS // 4
            page_view = random_.random() < 0.4
            refused = not page_view and DAYS[day] in BROKEN_DAYS and random_.random() < BROKEN_SHARE
            tenant = random_.choice(_TENANTS)
            visitor = f"v-{random_.randrange(1 + self.size // 20)}"
            out.append(Event(number, tenant, visitor, DAYS[day], at, page_view, refused))
        # Kafka's clock of a partition goes on only.
        return sorted(out, key=lambda each: each.arrival_ms)

    @cached_property
    def sent(self) -> list[Event]:
        """All, in the order of sending, some twice; one that is refused is sent twice like any other."""
        random_ = random.Random(self.seed + 1)
        return [event for each in self.events for event in [each] * (2 if random_.random() < self.repeats else 1)]

    def send(self) -> None:
        """Let the raw topic keep the times that it is given, and write all records."""
        topic = Topics.named(self.settings.topic_prefix).raw
        admin = AdminClient(kafka.common(self.settings))
        own_times = ConfigEntry("message.timestamp.type", "CreateTime", incremental_operation=AlterConfigOpType.SET)
        for future in admin.incremental_alter_configs(
            [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[own_times])]
        ).values():
            future.result(10)
        producer = Producer(kafka.producer(self.settings) | {"linger.ms": 5, "queue.buffering.max.messages": 300_000})
        for event in self.sent:
            while True:
                try:
                    producer.produce(
                        topic, value(event), key(event), timestamp=event.arrival_ms, on_delivery=self._delivered
                    )
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
        assert producer.flush(60) == 0
        assert not self.failures

    def send_again(self, event: Event, *, arrival_ms: int | None = None) -> None:
        """What a client does that never got its answer."""
        producer = Producer(kafka.producer(self.settings))
        at = arrival_ms or int(time.time() * 1000)
        producer.produce(Topics.named(self.settings.topic_prefix).raw, value(event), key(event), timestamp=at)
        assert producer.flush(30) == 0

    def send_texts(self, events: Sequence[Event]) -> None:
        """Other events, whose amounts are text, which arrive now."""
        producer = Producer(kafka.producer(self.settings))
        topic = Topics.named(self.settings.topic_prefix).raw
        for event in events:
            now = replace(event, arrival_ms=int(time.time() * 1000))
            record = value(now, event_id=f"text-{event.number}", properties={"amount": f"{event.number}.5"})
            producer.produce(topic, record, key(event), timestamp=now.arrival_ms)
        assert producer.flush(30) == 0

    def release(self, version: int, **lifecycle: Any) -> None:
        """The first version takes whole amounts only, the second any number, the third no number at all."""
        type_ = {1: "int", 2: "double", 3: "boolean"}[version]
        amount = {"name": "amount", "type": type_, "pii": "none", "doc": "Price."}
        source: dict[str, Any] = {
            "type": "record",
            "name": "TicketBought",
            "namespace": "sluice.events",
            "kind": "event",
            "doc": "A ticket was bought.",
            "fields": [amount],
        }
        each = Released(SUBJECT, version, 9_100 + version, source | lifecycle)
        control.put(self.settings, {each.key: released.encode(each)})

    def expected(self, *, mended: bool) -> dict[str, Counter[str]]:
        """Rows by day, page views by day, distinct visitors with a page view by day, tickets by day and amount sum."""
        rows: Counter[str] = Counter()
        views: Counter[str] = Counter()
        tickets: Counter[str] = Counter()
        visitors: dict[str, set[tuple[str, str]]] = {}
        for event in self.events:
            if event.refused and not mended:
                continue
            rows[event.day] += 1
            if event.page_view:
                views[event.day] += 1
                visitors.setdefault(event.day, set()).add((event.tenant, event.visitor))
            else:
                tickets[event.day] += 1
        return {
            "rows": rows,
            "views": views,
            "tickets": tickets,
            "visitors": Counter({day: len(found) for day, found in visitors.items()}),
        }

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self.failures.append(error.str())


def key(event: Event) -> bytes:
    return f"{event.tenant}|{event.visitor}".encode()


def value(event: Event, *, event_id: str = "", properties: dict[str, Any] | None = None) -> bytes:
    """The record of `event`; with other `properties` a ticket of another id."""
    page_view = event.page_view and properties is None
    payload = {
        "event_id": event_id or event.event_id,
        "event_type": "page_view" if page_view else "custom_event",
        "name": "" if page_view else SUBJECT,
        "session_id": f"s-{event.visitor}",
        "visitor_id": event.visitor,
        "user_id": "",
        "url": f"https://shop.example/p/{event.number % 37}",
        "referrer": "",
        "properties": properties or ({"title": "Shop"} if page_view else {"amount": amount(event)}),
        "context": {},
        "consent_state": "granted",
        "occurred_at": event.arrival_ms,
        "sent_at": 0,
    }
    name = "page_view" if page_view else SUBJECT
    return envelope.encode(
        head=envelope.Head(name, 0, event.tenant, "k-1", "native", historical=False),
        received_at_ms=event.arrival_ms,
        payload=msgspec.json.encode(payload),
    )


def amount(event: Event) -> float | int:
    return event.number % 50 + 0.5 if event.refused else event.number % 50


def found(server: Any) -> Iterator[tuple[str, Counter[str]]]:
    """What the tables hold of the same, base and rollups."""
    days = ", ".join(f"'{day}'" for day in DAYS)
    for name, sql in {
        "rows": f"SELECT toString(arrival_day), count() FROM events WHERE arrival_day IN ({days}) GROUP BY 1",
        "views": f"SELECT toString(day), sum(views) FROM page_views_daily WHERE day IN ({days}) GROUP BY 1",
        "tickets": f"SELECT toString(day), sum(events) FROM events_daily WHERE event = '{SUBJECT}' AND day IN ({days}) "
        "GROUP BY 1",
        "visitors": f"SELECT toString(day), sum(visitors) FROM page_views_daily WHERE day IN ({days}) GROUP BY 1",
    }.items():
        yield name, Counter(dict(server.rows(sql)))
