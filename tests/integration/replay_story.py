"""The story that replay exists for, with everything known beforehand: events over several days, a contract that refuses
a part of two of them, the contract mended.

`Story` sends raw records with arrival times of its choice and knows by plain arithmetic what every table must hold
before and after.
"""

from __future__ import annotations

import random
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import msgspec
from confluent_kafka import KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, OffsetSpec, ResourceType

from core import control, kafka
from core.settings import Settings
from core.topics import Topics
from schemas import envelope, released
from schemas.released import Released
from sinks.clickhouse import ClickHouse

# Recent ones: derived topics take over the times, and Kafka keeps a week of them.
_FIRST = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=6)
DAYS = tuple((_FIRST + timedelta(days=day)).date().isoformat() for day in range(4))
AFTER = (_FIRST + timedelta(days=4)).date().isoformat()
BROKEN_DAYS = DAYS[1:3]
BROKEN_SHARE = 0.3  # of the events of a broken day
_PAGE_VIEWS = 0.4
_DAY_MS = 86_400_000
_FIRST_MS = int(_FIRST.timestamp() * 1000)
SUBJECT = "ticket_bought"
_TENANTS = ("acme", "bolt")

Totals = dict[str, Counter[str]]  # of a table or rollup, by day or by another key


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

    @property
    def path(self) -> str:
        return f"/p/{self.number % 37}"


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
            page_view = random_.random() < _PAGE_VIEWS
            unfit = random_.random() < BROKEN_SHARE / (1 - _PAGE_VIEWS)
            refused = not page_view and DAYS[day] in BROKEN_DAYS and unfit
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
        """Write all records to the raw topic, which keeps the times that it is given."""
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

    def forget(self, share: float) -> None:
        """Delete the oldest records of each partition from Kafka, as its retention does. The archive has them."""
        topic = Topics.named(self.settings.topic_prefix).raw
        admin = AdminClient(kafka.common(self.settings))
        partitions = [TopicPartition(topic, number) for number in range(self.settings.partitions)]
        ends = admin.list_offsets(dict.fromkeys(partitions, OffsetSpec.latest()))
        upto = [TopicPartition(each.topic, each.partition, int(ends[each].result(10).offset * share)) for each in ends]
        for future in admin.delete_records(upto).values():
            future.result(10)

    def send_again(self, events: Sequence[Event]) -> None:
        """What clients do that never got their answer. It arrives on the day after the story."""
        producer = Producer(kafka.producer(self.settings))
        topic = Topics.named(self.settings.topic_prefix).raw
        for event in events:
            producer.produce(topic, value(event), key(event), timestamp=_FIRST_MS + (len(DAYS) + 1) * _DAY_MS - 1)
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

    def expected(self, *, mended: bool) -> Totals:
        """What base and rollups must hold, counted here without any of the product's code."""
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        visitors, sessions = set(), set()
        for event in self.events:
            if event.refused and not mended:
                continue
            counts["rows"][event.day] += 1
            counts["ids"][event.day] += zlib.crc32(f"{event.tenant}|{event.visitor}|{event.event_id}".encode())
            counts["hours"][datetime.fromtimestamp(event.arrival_ms / 1000, UTC).strftime("%Y-%m-%d %H:00:00")] += 1
            if event.page_view:
                counts["views"][event.day] += 1
                counts["pages"][f"{event.day} {event.path}"] += 1
                visitors.add((event.day, event.tenant, event.visitor))
            else:
                counts["tickets"][event.day] += 1
                counts["halves"][event.day] += round(amount(event) * 2)
            counts["in sessions"][event.tenant] += 1
            sessions.add((event.tenant, event.visitor))
        counts["visitors"] = Counter(day for day, _, _ in visitors)
        counts["sessions"] = Counter(tenant for tenant, _ in sessions)
        return dict(counts)

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
        "session_id": f"{'text' if properties else 's'}-{event.visitor}",
        "visitor_id": event.visitor,
        "user_id": "",
        "url": f"https://shop.example{event.path}",
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


def found(server: ClickHouse) -> Totals:
    """What the tables hold of the same: base first, then rollups."""
    days = ", ".join(f"'{day}'" for day in DAYS)
    of_story = f"WHERE arrival_day IN ({days})"
    return {
        name: Counter(dict(server.rows(f"SELECT toString({key}) AS key, {value} {source} GROUP BY key")))
        for name, (key, value, source) in {
            "rows": ("arrival_day", "count()", f"FROM events {of_story}"),
            "ids": (
                "arrival_day",
                "sum(CRC32(concat(tenant, '|', visitor_id, '|', event_id)))",
                f"FROM events {of_story}",
            ),
            "halves": (
                "arrival_day",
                "toUInt64(sum(JSONExtractFloat(properties, 'amount') * 2))",
                f"FROM events {of_story} AND event = '{SUBJECT}'",
            ),
            "views": ("day", "sum(views)", f"FROM page_views_daily WHERE day IN ({days})"),
            "visitors": ("day", "sum(visitors)", f"FROM page_views_daily WHERE day IN ({days})"),
            "tickets": ("day", "sum(events)", f"FROM events_daily WHERE event = '{SUBJECT}' AND day IN ({days})"),
            "pages": ("concat(toString(day), ' ', path)", "sum(views)", f"FROM pages_daily WHERE day IN ({days})"),
            "hours": ("hour", "sum(events)", f"FROM events_hourly WHERE toDate(hour) IN ({days})"),
            "sessions": ("tenant", "count()", "FROM sessions WHERE startsWith(session_id, 's-')"),
            "in sessions": ("tenant", "sum(events)", "FROM sessions WHERE startsWith(session_id, 's-')"),
        }.items()
    }
