"""Typed views of the released events, made from their contracts: brought up to date after the numbered migrations.

What was made is recorded with its checksum, all at the end. An earlier release of the program, or one that does not
know a contract's newest version, leaves what a later one made as it is. Killed half-way, nothing is recorded and the
views are made again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec

from core.errors import ConfigError
from core.log import get_logger
from schemas.codegen.views import COMPILER, View, views
from schemas.registry import Registry
from sinks.clickhouse import ClickHouse
from sinks.cluster import render

log = get_logger(__name__)

_RECORDED = """
SELECT subject, max((version, compiler)) AS edition, argMax(checksum, (version, compiler, applied_at))
FROM view_migrations GROUP BY subject
"""
_PRESENT = "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View'"


@dataclass(frozen=True, slots=True)
class EventViews:
    """The views of one event. `version` is the newest of its contract."""

    subject: str
    version: int
    views: tuple[View, ...]

    @property
    def edition(self) -> tuple[int, int]:
        return self.version, COMPILER

    @property
    def checksum(self) -> str:
        return hashlib.sha256("\0".join(view.statement for view in self.views).encode()).hexdigest()

    @property
    def names(self) -> list[str]:
        return [view.name for view in self.views]

    def __str__(self) -> str:
        return f"{', '.join(self.names)} from {self.subject}:{self.version}"


def load(registry: Registry) -> list[EventViews]:
    """Views of all events of the registry.

    Raises:
        ConfigError: two events would have a view of the same name.
    """
    found: list[EventViews] = []
    owners: dict[str, str] = {}
    for subject in registry.subjects("event"):
        versions = {v: registry.get(subject, v).resolved for v in registry.versions(subject)}
        of_event = EventViews(subject, max(versions), tuple(views(versions, subject)))
        for name in of_event.names:
            if other := owners.get(name):
                raise ConfigError(f"the events {other} and {subject} would both have a view {name}: rename one")
            owners[name] = subject
        found.append(of_event)
    return found


def apply(server: ClickHouse, registry: Registry, *, cluster: str = "") -> list[EventViews]:
    """Make the views that are missing or made otherwise; returns those of the events it touched. Idempotent."""
    recorded = {subject: (tuple(edition), checksum) for subject, edition, checksum in server.rows(_RECORDED)}
    present = {
        name
        for (name,) in server.rows(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND name LIKE 'v%'"
        )
    }
    made = [each for each in load(registry) if _apply(server, each, recorded.get(each.subject), present, cluster)]
    if made:
        lines = [
            {"subject": each.subject, "version": each.version, "compiler": COMPILER, "checksum": each.checksum}
            for each in made
        ]
        data = b"\n".join(map(msgspec.json.encode, lines)).decode()
        server.execute(f"INSERT INTO view_migrations FORMAT JSONEachRow\n{data}")
    return made


def _apply(
    server: ClickHouse, event: EventViews, recorded: tuple[tuple[int, ...], str] | None, present: set[str], cluster: str
) -> bool:
    if recorded is not None and recorded[0] > event.edition:
        log.info("views.left_to_later_release", subject=event.subject, version=event.version, recorded=recorded[0][0])
        return False
    if recorded == (event.edition, event.checksum) and present.issuperset(event.names):
        return False
    for view in event.views:
        server.execute(render(view.statement, cluster))
    log.info("views.applied", subject=event.subject, version=event.version, views=event.names)
    return True
