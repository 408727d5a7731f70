"""Which events exist: all of them follow from a seed, so that the judge can recompute what any id must hold.

Most are valid, some break their contract, some are sent twice. A visitor's events carry a counter. Where it is asked
for, some hold what the collector must take out.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

_SPACE = uuid.UUID("7f1c7a9e-2f43-4c43-9a57-0f4b6c1d9e10")
_TEXTS = ("plain", "Grüße", "日本語", 'quote " and \\ backslash', "line\nbreak\ttab", "🙂", "NUL \x00 inside", "")
_PATHS = ("/", "/pricing", "/docs/start", "/blog/exactly-once", "/shop/p/1", "/shop/p/2")
_CAMPAIGNS = (
    "",
    "",
    "",
    "?utm_source=mail&utm_medium=news&utm_campaign=may",
    "?utm_source=ads&utm_campaign=june%20sale",
)
_REFERRERS = ("", "https://search.example/?q=x", "https://news.example/a", "https://shop.example/")
_FIRST_MS = 1_780_000_000_000


@dataclass(frozen=True, slots=True)
class Issued:
    """One event as it is sent. `valid` says whether it keeps its contract, `stored` is what redaction leaves of `body`
    by what docs/privacy.md says.
    """

    event_id: str
    visitor: str
    counter: int
    valid: bool
    body: dict[str, Any]
    stored: dict[str, Any]

    @property
    def properties(self) -> bytes:
        return msgspec.json.encode(self.body["properties"])


@dataclass(slots=True)
class Workload:
    """`size` distinct events of `visitors` visitors. The same seed is the same workload, event for event."""

    seed: int
    size: int
    visitors: int = 400
    invalid_share: float = 0.02
    repeat_share: float = 0.02
    secret_share: float = 0.0
    issued: dict[str, Issued] = field(default_factory=dict)

    def lane(self, number: int, lanes: int) -> Iterator[Issued]:
        """The events of the visitors that belong to one of `lanes` senders, repeats included, in sending order."""
        random_ = random.Random(f"{self.seed}:{number}:{lanes}")
        mine = [f"visitor-{v}" for v in range(self.visitors) if v % lanes == number]
        counters = dict.fromkeys(mine, 0)
        recent: list[Issued] = []
        for index in range(self.size // lanes + (number < self.size % lanes)):
            visitor = random_.choice(mine)
            counters[visitor] += 1
            event = self._event(random_, f"{self.seed}:{number}:{index}", visitor, counters[visitor])
            self.issued[event.event_id] = event
            recent.append(event)
            yield event
            if random_.random() < self.repeat_share:
                yield random_.choice(recent[-200:])

    def _event(self, random_: random.Random, name: str, visitor: str, counter: int) -> Issued:
        valid = random_.random() >= self.invalid_share
        properties: dict[str, Any] = {
            "status": random_.choice((200, 304)) if valid else "not a number",
            "counter": counter,
            "text": random_.choice(_TEXTS),
        }
        event_id = str(uuid.uuid5(_SPACE, name))
        body = {
            "event_id": event_id,
            "event_type": "page_view",
            "visitor_id": visitor,
            "session_id": f"{visitor}-{counter // 10}",
            "url": "https://shop.example" + random_.choice(_PATHS) + random_.choice(_CAMPAIGNS),
            "referrer": random_.choice(_REFERRERS),
            "properties": properties,
            "consent_state": "granted",
            "occurred_at": _rfc3339(_FIRST_MS + random_.randrange(3 * 86_400_000)),
        }
        stored = body
        if self.secret_share and random_.random() < self.secret_share:
            body, stored = _with_secrets(body, random_.randrange(10**9))
        return Issued(event_id, visitor, counter, valid, body, stored)


def _with_secrets(body: dict[str, Any], number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """`body` with secrets and an address in it, and the same after both are taken out."""
    sep = "&" if "?" in body["url"] else "?"
    host = "shop.example"

    def one(url: str, referrer: str, **properties: str) -> dict[str, Any]:
        return body | {"url": url, "referrer": referrer, "properties": body["properties"] | properties}

    plain = body["url"].partition(host)[2]
    return (
        one(
            f"https://ada:pw{number}@{host}{plain}{sep}reset_token=t{number}&n=1",
            f"https://{host}/?next=%2Flogin%3Fpassword%3Dp{number}",
            api_key_password=f"s{number}",
            client_ip=f"203.0.113.{number % 255}",
            link=f"/a?Secret={number}#b",
        ),
        one(
            f"https://{host}{plain}{sep}reset_token=REDACTED&n=1",
            f"https://{host}/?next=%2Flogin%3Fpassword%3DREDACTED",
            api_key_password="REDACTED",
            client_ip="203.0.113.0",
            link="/a?Secret=REDACTED#b",
        ),
    )


def _rfc3339(ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
