"""Raw records as collectors write them, for benchmarks: seeded, 1 % invalid, 2 % sent twice."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Literal

import click
import msgspec
from confluent_kafka import Producer

from core import kafka
from core.settings import Settings
from schemas import envelope
from schemas.near_miss import near_misses
from schemas.registry import bundled
from schemas.sample import samples

Profile = Literal["one", "all"]
_NOW_MS = 1_780_000_000_000
_INVALID, _REPEATED = 0.01, 0.02
_REPEATS_FROM = 20_000  # so many events back at most
_VARIANTS = 200  # of each event's properties; ids, visitors, times and addresses are new for every event
_AGENTS = [
    f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{90 + n % 50}.0.{n}.0 Safari/537.36"
    for n in range(500)
]
_TYPES = {"page_view": "page_view", "identity": "identity"}


def raw_records(
    profile: Profile, count: int, *, seed: int = 7, now_ms: Callable[[], int] | None = None
) -> Iterator[tuple[bytes, bytes]]:
    """`count` pairs of key and value. "one" has page views only, "all" all events alike.

    Each was received when `now_ms` said; without it 7 ms after the one before.
    """
    random_ = random.Random(seed)
    subjects = ["page_view"] if profile == "one" else bundled().subjects("event")
    valid = {s: list(islice(samples(_resolved(s)), _VARIANTS)) for s in subjects}
    broken = {s: [miss.properties for miss in islice(near_misses(_resolved(s)), _VARIANTS)] for s in subjects}
    sent: list[tuple[bytes, bytes]] = []
    for number in range(count):
        if sent and random_.random() < _REPEATED:
            yield random_.choice(sent)
            continue
        subject = random_.choice(subjects)
        bad = random_.random() < _INVALID and bool(broken[subject])
        at_ms = now_ms() if now_ms is not None else _NOW_MS + number * 7
        record = _record(random_, number, at_ms, subject, random_.choice(broken[subject] if bad else valid[subject]))
        if len(sent) < _REPEATS_FROM:
            sent.append(record)
        else:
            sent[random_.randrange(_REPEATS_FROM)] = record
        yield record


def load(settings: Settings, topic: str, profile: Profile, count: int) -> None:
    """Put `count` raw records on `topic`, as fast as it takes them."""
    producer = Producer(kafka.producer(settings) | {"linger.ms": 20, "queue.buffering.max.messages": 1_000_000})
    for number, (key, value) in enumerate(raw_records(profile, count)):
        producer.produce(topic, value, key)
        if number % 10_000 == 0:
            producer.poll(0)
    if producer.flush(120):
        raise click.ClickException("Kafka did not take the events in time")


def _resolved(subject: str) -> dict[str, Any]:
    return bundled().latest(subject).resolved


def _record(random_: random.Random, number: int, at_ms: int, subject: str, properties: Any) -> tuple[bytes, bytes]:
    visitor = f"v-{random_.randrange(50_000)}"
    tenant = ("acme", "globex", "initech")[int(random_.random() ** 2 * 3)]
    event_type = _TYPES.get(subject, "custom_event")
    query = (
        f"?utm_source=s{random_.randrange(9)}&utm_campaign=c{random_.randrange(40)}" if random_.random() < 0.3 else ""
    )
    payload = {
        "event_id": str(uuid.UUID(int=random_.getrandbits(128), version=4)),
        "event_type": event_type,
        "name": subject if event_type == "custom_event" else "",
        "session_id": f"s-{visitor}-{number % 7}",
        "visitor_id": visitor,
        "user_id": "",
        "url": f"https://shop.example/products/{random_.randrange(1_200)}{query}",
        "referrer": random_.choice(("https://www.google.com/", "https://t.co/x", "", "", "https://shop.example/")),
        "properties": properties,
        "context": {},
        "consent_state": "granted",
        "occurred_at": at_ms - 40,
        "sent_at": 0,
    }
    value = envelope.encode(
        head=envelope.Head(subject, 0, tenant, "k-1", "native", historical=False),
        received_at_ms=at_ms,
        payload=msgspec.json.encode(payload),
        user_agent=random_.choice(_AGENTS),
        client_ip=f"203.0.{random_.randrange(256)}.0",
    )
    return f"{tenant}|{visitor}".encode(), value
