"""Events as browsers send them to the collect endpoint, for benchmarks: seeded, all distinct, about 550 bytes each."""

from __future__ import annotations

import random
import uuid
from typing import Any

import msgspec

_NOW_S = 1_780_000_000
_CAMPAIGNS = ("?utm_source=mail&utm_medium=email&utm_campaign=may", "?gclid=Cj0KCQjw", "", "", "")
_REFERRERS = (
    "https://www.google.com/",
    "https://t.co/x7Yz",
    "https://shop.example/",
    "",
    "https://news.example/a/b?p=2",
)
_NAMES = ("product_viewed", "cart_updated", "signup_started", "search_submitted")


def collect_events(count: int, *, seed: int = 11) -> list[bytes]:
    """`count` events as JSON, each of another visitor, so that they spread over all partitions."""
    random_ = random.Random(seed)
    return [msgspec.json.encode(_event(random_, number)) for number in range(count)]


def _event(random_: random.Random, number: int) -> dict[str, Any]:
    page = random_.random() < 0.7
    product = random_.randrange(1_200)
    second = _NOW_S + number // 50
    at = f"2026-05-{1 + second // 86_400 % 28:02}T{second // 3_600 % 24:02}:{second // 60 % 60:02}:{second % 60:02}"
    event = {
        "event_id": _uuid(random_),
        "event_type": "page_view" if page else "custom_event",
        "session_id": _uuid(random_),
        "visitor_id": _uuid(random_),
        "url": f"https://shop.example/products/{product}{random_.choice(_CAMPAIGNS)}",
        "referrer": random_.choice(_REFERRERS),
        "consent_state": "granted",
        "occurred_at": f"{at}.{number % 1_000:03}Z",
        "sent_at": f"{at}.{(number + 20) % 1_000:03}Z",
        "properties": {
            "title": f"Gruppe {product} · Größe M",
            "price": round(random_.random() * 200, 2),
            "currency": random_.choice(("EUR", "USD", "CHF")),
            "position": random_.randrange(40),
            "tags": random_.sample(("new", "sale", "shoes", "summer", "outdoor"), 2),
        },
    }
    if not page:
        event["name"] = random_.choice(_NAMES)
    return event


def _uuid(random_: random.Random) -> str:
    return str(uuid.UUID(int=random_.getrandbits(128), version=4))
