"""The verdict on collectors: what is in the raw topics against what was acknowledged.

Every obligation is there, equal to what was sent after the documented redaction and normalisation; a receipt that names
an offset names that record; nothing was invented; what arrived first of each undisturbed visitor arrived in order;
nothing is left in the spool, and a fresh event still flows. Doubles are allowed, and counted.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import urllib3
from confluent_kafka import Consumer, Message, TopicPartition

from collector.spool.inspection import FolderReport, inspect
from collector.spool.spool import root_of
from core import kafka
from core.settings import Settings
from core.topics import Topics
from schemas import envelope
from tests.oracle.sender import Obligations
from tests.oracle.workload import Issued, Workload

_FRESH_ID = "fresh-1"


@dataclass(slots=True)
class CollectorVerdict:
    """Empty lists mean that everything holds. Lists hold ids or sentences, all of them."""

    obligations: int = 0
    raw: int = 0
    doubles: int = 0
    receipts: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    misplaced: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not any(self.problems().values())

    def problems(self) -> dict[str, list[str]]:
        names = ("lost", "invented", "changed", "misplaced", "disordered", "left", "stale")
        return {name: getattr(self, name) for name in names}


class CollectorJudge:
    """Judges one run, after the faults have stopped."""

    def __init__(self, settings: Settings, workload: Workload, obligations: Obligations) -> None:
        self._settings = settings
        self._workload = workload
        self._obligations = obligations

    def judge(self, *, url: str, key: str, patience_s: float) -> CollectorVerdict:
        verdict = CollectorVerdict(obligations=len(self._obligations.acknowledged))
        verdict.receipts.update(receipt.split("-")[0] for receipt in self._obligations.receipts.values())
        self._settle(verdict, url, patience_s)
        self._fresh(verdict, url, key, patience_s)
        self._match(verdict, self._raw())
        return verdict

    def _settle(self, verdict: CollectorVerdict, url: str, patience_s: float) -> None:
        """Wait until the collectors say that all is drained, and see for ourselves."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if _mode(url) == "direct" and not any(each.records for each in self._folders()):
                break
            time.sleep(0.2)
        verdict.left += [
            f"{each.kind} {each.folder}: {each.records} records" for each in self._folders() if each.records
        ]
        verdict.left += [f"{each.folder} is damaged: {each}" for each in self._folders() if not each.sound]

    def _folders(self) -> list[FolderReport]:
        return inspect(root_of(self._settings))

    def _fresh(self, verdict: CollectorVerdict, url: str, key: str, patience_s: float) -> None:
        body = {"event_id": _FRESH_ID, "event_type": "page_view", "visitor_id": "fresh", "consent_state": "granted"}
        deadline = time.monotonic() + patience_s
        answer = ""
        while time.monotonic() < deadline:
            try:
                reply = urllib3.request("POST", url, json=body, headers={"Authorization": f"Bearer {key}"}, timeout=5)
                answer = reply.data.decode()
                if reply.status == 200 and f"{Topics.named(self._settings.topic_prefix).raw}-" in answer:
                    return
            except urllib3.exceptions.HTTPError as error:
                answer = str(error)
            time.sleep(0.2)
        verdict.stale.append(f"a fresh event does not go to Kafka directly: {answer}")

    def _raw(self) -> Iterator[Message]:
        names = Topics.named(self._settings.topic_prefix)
        partitions = self._settings.partitions
        for topic in (names.raw, names.raw_historic):
            reader = Consumer(kafka.reader(self._settings, name="judge"))
            reader.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
            try:
                yield from kafka.read_to_end(reader, partitions=partitions)
            finally:
                reader.close()

    def _match(self, verdict: CollectorVerdict, messages: Iterator[Message]) -> None:
        places: dict[str, set[str]] = defaultdict(set)
        counters: dict[str, list[int]] = defaultdict(list)
        for message in messages:
            verdict.raw += 1
            found = envelope.decode(message.value())
            payload = msgspec.json.decode(found.payload)
            event_id = payload["event_id"]
            if event_id == _FRESH_ID:
                verdict.raw -= 1
                continue
            event = self._workload.issued.get(event_id)
            if event is None:
                verdict.invented.append(event_id)
                continue
            tenant = self._settings.bootstrap_tenant
            same = payload == expected(event) and found.head.tenant == tenant
            if not same or message.key() != f"{tenant}|{event.visitor}".encode():
                verdict.changed.append(event_id)
            if not places[event_id]:
                counters[event.visitor].append(event.counter)
            places[event_id].add(f"{message.topic()}-{message.partition()}-{message.offset()}")
        verdict.doubles = verdict.raw - len(places)
        verdict.lost += [event_id for event_id in self._obligations.acknowledged if event_id not in places]
        verdict.misplaced += [
            f"{event_id}: {receipt}"
            for event_id, receipt in self._obligations.receipts.items()
            if not receipt.startswith("spool-") and receipt not in places[event_id]
        ]
        if self._settings.collector_workers == 1:  # several keep no common order
            shaken = self._obligations.shaken
            verdict.disordered += [v for v, seen in counters.items() if v not in shaken and seen != sorted(seen)]


def expected(event: Issued) -> dict[str, Any]:
    """The payload of its raw record: every field, times in milliseconds, without what is secret."""
    body = event.stored
    return {
        "event_id": event.event_id,
        "event_type": body["event_type"],
        "name": "",
        "session_id": body["session_id"],
        "visitor_id": body["visitor_id"],
        "user_id": "",
        "url": body["url"],
        "referrer": body["referrer"],
        "properties": body["properties"],
        "context": {},
        "consent_state": "granted",
        "occurred_at": int(datetime.fromisoformat(body["occurred_at"]).timestamp() * 1000),
        "sent_at": 0,
    }


def _mode(url: str) -> str:
    try:
        reply = urllib3.request("GET", url.partition("/api/")[0] + "/health/ready", timeout=2, retries=False)
        return str(reply.json()["spool"]["mode"])
    except (urllib3.exceptions.HTTPError, ValueError, KeyError):
        return ""
