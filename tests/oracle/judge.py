"""The verdict: what is in Kafka and ClickHouse against what was acknowledged.

Every obligation is a row or a dead letter, exactly once, with its content equal; nothing that was never sent is there;
order per visitor is kept; every raw offset has one outcome; every rollup equals a recount; a fresh event still flows.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import msgspec
import urllib3
from confluent_kafka import Consumer, TopicPartition

from cli.ledger import LedgerReader, wait_until_complete
from core import kafka
from core.errors import SluiceError
from core.lanes import Lanes
from core.settings import Settings
from core.topics import Topics
from schemas import envelope
from sinks.clickhouse import ClickHouse
from streams.records import decode_dead_letter
from tests.oracle.sender import Obligations
from tests.oracle.workload import Workload

# For each rollup view: its answer, and the same from the base table.
ROLLUPS = {
    "events_daily": (
        "SELECT toString(day), event, name, sum(events) FROM events_daily GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        "SELECT toString(toDate(occurred_at)), event, name, count() FROM events GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    ),
    "page_views_daily": (
        "SELECT toString(day), tenant, views, visitors, sessions FROM page_views_daily ORDER BY 1, 2",
        (
            "SELECT toString(toDate(occurred_at)), tenant, count(), uniqExact(visitor_id), uniqExact(session_id) "
            "FROM events WHERE event_type = 'page_view' GROUP BY 1, 2 ORDER BY 1, 2"
        ),
    ),
    "pages_daily": (
        "SELECT toString(day), path, views, visitors FROM pages_daily ORDER BY 1, 2",
        (
            "SELECT toString(toDate(occurred_at)), path, count(), uniqExact(visitor_id) "
            "FROM events WHERE event_type = 'page_view' GROUP BY 1, 2 ORDER BY 1, 2"
        ),
    ),
    "referrers_daily": (
        "SELECT toString(day), referrer_host, views, visitors FROM referrers_daily ORDER BY 1, 2",
        (
            "SELECT toString(toDate(occurred_at)), referrer_host, count(), uniqExact(visitor_id) "
            "FROM events WHERE event_type = 'page_view' AND referrer_host != '' GROUP BY 1, 2 ORDER BY 1, 2"
        ),
    ),
    "utm_daily": (
        (
            "SELECT toString(day), utm_source, utm_medium, utm_campaign, views, visitors "
            "FROM utm_daily ORDER BY 1, 2, 3, 4"
        ),
        (
            "SELECT toString(toDate(occurred_at)), utm_source, utm_medium, utm_campaign, "
            "count(), uniqExact(visitor_id) FROM events "
            "WHERE event_type = 'page_view' AND concat(utm_source, utm_medium, utm_campaign) != '' "
            "GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
        ),
    ),
    "events_hourly": (
        "SELECT toString(hour), event, name, sum(events) FROM events_hourly GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        (
            "SELECT formatDateTime(occurred_at, '%F %H:00:00'), event, name, count() FROM events "
            "GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        ),
    ),
    "page_views_hourly": (
        "SELECT toString(hour), tenant, views, visitors, sessions FROM page_views_hourly ORDER BY 1, 2",
        (
            "SELECT formatDateTime(occurred_at, '%F %H:00:00'), tenant, count(), uniqExact(visitor_id), "
            "uniqExact(session_id) FROM events WHERE event_type = 'page_view' GROUP BY 1, 2 ORDER BY 1, 2"
        ),
    ),
    "devices_daily": (
        (
            "SELECT toString(day), ua_device, ua_os, ua_browser, sum(views) FROM devices_daily "
            "GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
        ),
        (
            "SELECT toString(toDate(occurred_at)), ua_device, ua_os, ua_browser, count() FROM events "
            "WHERE event_type = 'page_view' GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
        ),
    ),
    "countries_daily": (
        "SELECT toString(day), geo_country, sum(views) FROM countries_daily GROUP BY 1, 2 ORDER BY 1, 2",
        (
            "SELECT toString(toDate(occurred_at)), geo_country, count() FROM events "
            "WHERE event_type = 'page_view' GROUP BY 1, 2 ORDER BY 1, 2"
        ),
    ),
    "sessions": (
        (
            "SELECT tenant, session_id, toString(started_at), toString(ended_at), events, views, entry_path, exit_path "
            "FROM sessions ORDER BY 1, 2"
        ),
        (
            "WITH arraySort(groupArrayIf((occurred_at, raw_partition, raw_offset, path), event_type = 'page_view')) "
            "AS pages SELECT tenant, session_id, toString(min(occurred_at)), toString(max(occurred_at)), count(), "
            "length(pages), pages[1].4, pages[-1].4 FROM events WHERE session_id != '' GROUP BY 1, 2 ORDER BY 1, 2"
        ),
    ),
}
_FRESH_TIMEOUT_S = 30.0


@dataclass(slots=True)
class Verdict:
    """Empty lists mean that everything holds. Lists hold ids or sentences, all of them."""

    obligations: int = 0
    rows: int = 0
    dead_letters: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    unaccounted: list[str] = field(default_factory=list)
    rollups: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not any(self.problems().values())

    def problems(self) -> dict[str, list[str]]:
        names = ("lost", "doubled", "invented", "changed", "disordered", "unaccounted", "rollups", "stale")
        return {name: getattr(self, name) for name in names}


class Judge:
    """Judges one run on one stack, after the faults have stopped."""

    def __init__(self, settings: Settings, workload: Workload, obligations: Obligations) -> None:
        self._settings = settings
        self._workload = workload
        self._obligations = obligations
        self._server = ClickHouse(settings)
        self._topics = Topics.named(settings.topic_prefix)

    def judge(self, *, url: str, key: str, patience_s: float = 90.0) -> Verdict:
        verdict = Verdict(obligations=len(self._obligations.acknowledged))
        self._account(verdict, patience_s)
        rows = self._rows(verdict, patience_s)
        letters = self._dead_letters(verdict)
        self._match(verdict, rows, letters)
        self._order(verdict, rows)
        self._rollups(verdict)
        self._fresh(verdict, url, key, timeout_s=min(_FRESH_TIMEOUT_S, patience_s))
        return verdict

    def _account(self, verdict: Verdict, patience_s: float) -> None:
        reader = LedgerReader(self._settings)
        try:
            verdict.outcomes = dict(wait_until_complete(reader, timeout_s=patience_s).outcomes)
        except SluiceError as error:
            verdict.unaccounted.append(error.message)
            verdict.outcomes = dict(reader.ledger.outcomes)
        finally:
            reader.close()

    def _rows(self, verdict: Verdict, patience_s: float) -> list[list[Any]]:
        """All rows of the base table, once their number has stood still."""
        deadline = time.monotonic() + patience_s
        expected = verdict.outcomes.get("curated", 0)
        while self._count() < expected and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(1.5)  # in which a doubled insert would still arrive
        rows = self._server.rows(
            "SELECT event_id, visitor_id, url, referrer, properties, extra, tenant, raw_partition, raw_offset "
            "FROM events_log WHERE generation = 0 ORDER BY raw_partition, raw_offset"
        )
        verdict.rows = len(rows)
        if verdict.rows != expected:
            verdict.unaccounted.append(f"{expected} curated outcomes, {verdict.rows} rows")
        return rows

    def _count(self) -> int:
        try:
            return int(self._server.scalar("SELECT count() FROM events_log WHERE generation = 0"))
        except SluiceError:
            return -1

    def _dead_letters(self, verdict: Verdict) -> Counter[str]:
        """Event ids of dead letters, with their number of raw records. Each raw record may be there once."""
        found: Counter[str] = Counter()
        coordinates: Counter[tuple[int, int]] = Counter()
        for value in self._read(self._topics.dead_letters):
            letter = decode_dead_letter(value)
            coordinates[letter.raw_partition, letter.raw_offset] += 1
            payload = msgspec.json.decode(envelope.decode(letter.raw).payload)
            found[payload["event_id"]] += 1
        verdict.dead_letters = len(coordinates)
        verdict.doubled += [f"dead letter of raw {at}" for at, count in coordinates.items() if count > 1]
        return found

    def _match(self, verdict: Verdict, rows: list[list[Any]], letters: Counter[str]) -> None:
        issued = self._workload.issued
        seen: Counter[str] = Counter()
        for event_id, visitor, url, referrer, properties, extra, tenant, *_ in rows:
            seen[event_id] += 1
            event = issued.get(event_id)
            if event is None or not event.valid:
                verdict.invented.append(f"row {event_id}")
                continue
            sent = (event.visitor, event.body["url"], event.body["referrer"], self._settings.bootstrap_tenant)
            same = (visitor, url, referrer, tenant) == sent
            kept = msgspec.json.decode(properties) | msgspec.json.decode(extra or "{}")
            if not same or kept != event.body["properties"]:
                verdict.changed.append(event_id)
        verdict.doubled += [event_id for event_id, count in seen.items() if count > 1]
        verdict.invented += [f"dead letter {i}" for i in letters if i not in issued or issued[i].valid]
        for event_id in self._obligations.acknowledged:
            where = seen if issued[event_id].valid else letters
            if where[event_id] == 0:
                verdict.lost.append(event_id)

    def _order(self, verdict: Verdict, rows: list[list[Any]]) -> None:
        """Visitors none of whose requests failed: their counters rise with the raw offset, in one partition."""
        counters: dict[str, list[int]] = defaultdict(list)
        homes: dict[str, set[int]] = defaultdict(set)
        for event_id, visitor, *_, partition, _offset in rows:
            homes[visitor].add(partition)
            event = self._workload.issued.get(event_id)
            if event is not None and visitor not in self._obligations.shaken:
                counters[visitor].append(event.counter)
        verdict.disordered += [f"{v}: several partitions {p}" for v, p in homes.items() if len(p) > 1]
        verdict.disordered += [v for v, seen in counters.items() if seen != sorted(seen)]

    def _rollups(self, verdict: Verdict) -> None:
        for name, (rollup, recount) in ROLLUPS.items():
            have, want = self._server.rows(rollup), self._server.rows(recount)
            if have != want:
                different = [(h, w) for h, w in zip(have, want, strict=False) if h != w][:3]
                verdict.rollups.append(f"{name}: {len(have)} rows against {len(want)}; first differences {different}")

    def _fresh(self, verdict: Verdict, url: str, key: str, *, timeout_s: float) -> None:
        event_id = str(uuid.uuid4())
        body = {"event_id": event_id, "event_type": "page_view", "visitor_id": "fresh", "consent_state": "granted"}
        deadline = time.monotonic() + timeout_s
        status = 0
        while time.monotonic() < deadline:
            if status != 200:
                status = _post(f"{url}/api/v1/tracking/collect/", body, key)
            if self._server.scalar("SELECT count() FROM events WHERE event_id = {id:String}", id=event_id):
                return
            time.sleep(0.1)
        verdict.stale.append(f"a fresh event (HTTP {status}) is no row after {timeout_s:g} s")

    def _read(self, topic: str) -> list[bytes]:
        reader = Consumer(kafka.reader(self._settings, name="judge"))
        numbers = Lanes.of(self._settings).numbers
        reader.assign([TopicPartition(topic, number, 0) for number in numbers])
        try:
            return [message.value() for message in kafka.read_to_end(reader, partitions=len(numbers))]
        finally:
            reader.close()


def _post(url: str, body: dict[str, Any], key: str) -> int:
    try:
        answer = urllib3.request(
            "POST",
            url,
            body=msgspec.json.encode(body),
            headers={"Authorization": f"Bearer {key}"},
            retries=False,
            timeout=10,
        )
    except urllib3.exceptions.HTTPError:
        return 0
    return int(answer.status)
