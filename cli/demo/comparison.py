"""The rollups' answers beside the recount's: the same questions put to ClickHouse and to the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from cli.demo.recount import Recount

Answer = list[tuple[str, int]]
_TOP = 10  # as the questions' LIMIT


class Rows(Protocol):
    """What answers SQL with rows of JSON values."""

    def rows(self, sql: str, **parameters: str | int) -> list[list[Any]]: ...


@dataclass(frozen=True, slots=True)
class Question:
    """One question: SQL on the rollups, and where the recount has its answer. Rows are (label, count)."""

    title: str
    sql: str
    expected: Callable[[Recount], Answer]


@dataclass(frozen=True, slots=True)
class Compared:
    title: str
    rollup: Answer
    recount: Answer

    @property
    def equal(self) -> bool:
        return self.rollup == self.recount


def _days(counts: dict[str, int]) -> Answer:
    return sorted(counts.items())


QUESTIONS = (
    Question(
        "events by day",
        "SELECT toString(day), sum(events) FROM events_daily WHERE tenant = {tenant:String} GROUP BY day ORDER BY day",
        lambda r: _days(r.events_by_day),
    ),
    Question(
        "page views by day",
        "SELECT toString(day), views FROM page_views_daily WHERE tenant = {tenant:String} ORDER BY day",
        lambda r: _days(r.page_views_by_day),
    ),
    Question(
        "unique visitors by day",
        "SELECT toString(day), visitors FROM page_views_daily WHERE tenant = {tenant:String} ORDER BY day",
        lambda r: _days(r.visitors_by_day),
    ),
    Question(
        "top pages",
        "SELECT path, sum(views) AS n FROM pages_daily WHERE tenant = {tenant:String} "
        "GROUP BY path ORDER BY n DESC, path LIMIT 10",
        lambda r: r.top_pages[:_TOP],
    ),
    Question(
        "top referrers",
        "SELECT referrer_host, sum(views) AS n FROM referrers_daily WHERE tenant = {tenant:String} "
        "GROUP BY referrer_host ORDER BY n DESC, referrer_host LIMIT 10",
        lambda r: r.top_referrer_hosts[:_TOP],
    ),
    Question(
        "campaigns (source / medium / name)",
        "SELECT concat(utm_source, ' / ', utm_medium, ' / ', utm_campaign) AS campaign, sum(views) AS n "
        "FROM utm_daily WHERE tenant = {tenant:String} "
        "GROUP BY utm_source, utm_medium, utm_campaign "
        "ORDER BY n DESC, utm_source, utm_medium, utm_campaign LIMIT 10",
        lambda r: [(" / ".join(key), n) for key, n in r.utm[:_TOP]],
    ),
)


def compare(server: Rows, recount: Recount, *, tenant: str) -> list[Compared]:
    """Ask every question of both sides."""
    return [
        Compared(
            question.title,
            [(str(label), int(count)) for label, count in server.rows(question.sql, tenant=tenant)],
            question.expected(recount),
        )
        for question in QUESTIONS
    ]
