"""Every view of the pipeline is shown to readers or restricted, and what tenants see is theirs down to the tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cli import access
from core.settings import Settings
from infra import documents
from infra.clickhouse.access import rights, users
from infra.clickhouse.access.users import Role
from sinks import migrate, readers
from tests.infra.clickhouse.front import PASSWORD, Front, Reply

_ANY = "|".join({*readers.RESTRICTED, *(text for shown in readers.shown().values() for text in shown.views)})


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """A front with all tables and views, and two tenants' rows."""
    folder = tmp_path_factory.mktemp("readers")
    (folder / "access").mkdir()
    documents.write_json(folder / "access" / rights.FILE_NAME, access.of("sluice"))
    with Front(folder / "data", {"access": str(folder / "access")}) as running:
        settings = replace(
            Settings(state_dir=Path(folder)),
            clickhouse_url=f"http://127.0.0.1:{running.port}",
            clickhouse_password=PASSWORD,
        )
        migrate.apply(settings)
        for number, tenant in enumerate(("acme", "bob")):
            running.post(
                "INSERT INTO sluice.events_log (arrival_at, occurred_at, received_at, tenant, event, event_type, name, "
                "event_id, visitor_id, session_id, url, referrer, properties) SELECT now64(3), now64(3), now64(3), "
                f"'{tenant}', 'page_view', 'page_view', 'page_view', toString(number), 'v', 's' || toString(number), "
                f"'https://{tenant}.example/?utm_source=m', 'https://x.net/', '{{}}' FROM numbers({number * 10 + 10})"
            )
            running.post(
                f"INSERT INTO sluice.dead_letters_log (arrival_at, tenant, raw) VALUES (now64(3), '{tenant}', 'x')"
            )
        yield running


def asked(front: Front, role: Role, tenant: str, sql: str) -> Reply:
    path = Path(front.options["access"]) / users.FILE_NAME
    user, password = users.make("reader", role, tenant=tenant)
    users.write(path, [user])
    return front.post(sql, headers={"X-ClickHouse-User": "reader", "X-ClickHouse-Key": password})


def names(front: Front, condition: str) -> list[str]:
    return [row[0] for row in front.rows(f"SELECT name FROM system.tables WHERE {condition} ORDER BY name")]


def test_every_view_is_named(front: Front) -> None:
    """For a new view: add it to sinks/readers.py, to what a role is shown or to what is restricted."""
    views = names(front, "database = 'sluice' AND engine = 'View'")
    assert len(views) > 20
    assert [view for view in views if not re.fullmatch(_ANY, view)] == []


def test_every_view_that_is_shown_can_be_read(front: Front) -> None:
    for role, tenant in ((Role.TENANT, "acme"), (Role.ANALYST, "")):
        shown = asked(front, role, tenant, "SHOW TABLES").text.split()
        assert {"events", "events_daily", "sessions", "v_page_view", "dead_letters"} <= set(shown)
        for view in shown:
            reply = asked(front, role, tenant, f"SELECT * FROM {view} LIMIT 1 FORMAT Null")
            assert reply.status == 200, (role, view, reply.text)


def test_every_table_behind_a_tenants_view_is_filtered_by_row(front: Front) -> None:
    """The engine's own plan says so: a row level filter at each read, but for what belongs to no tenant."""
    for view in asked(front, Role.TENANT, "acme", "SHOW TABLES").text.split():
        plan = front.post(f"EXPLAIN SELECT * FROM sluice_tenant.{view} FORMAT TSVRaw").text
        reads = re.findall(r"ReadFrom\w+ \(sluice\.(\w+)\)\n((?:(?!.*ReadFrom).*\n)*)", plan)
        assert {table for table, _ in reads} & set(readers.BY_TENANT), plan
        assert len(reads) == plan.count("ReadFrom"), plan
        for table, details in reads:
            if table not in readers.BEHIND:
                assert "Row level filter" in details, (view, plan)


def test_the_same_numbers_as_the_tenants_rows(front: Front) -> None:
    for tenant, events in (("acme", "10"), ("bob", "20"), ("nobody", "0")):
        for view, sql in {
            "events": "SELECT count() FROM events",
            "events_daily": "SELECT sum(events) FROM events_daily",
            "page_views_hourly": "SELECT sum(views) FROM page_views_hourly",
            "sessions": "SELECT count() FROM sessions",
            "v_page_view": "SELECT count() FROM sluice.v_page_view",
        }.items():
            assert asked(front, Role.TENANT, tenant, sql).text.strip() == events, (tenant, view)
    assert asked(front, Role.ANALYST, "", "SELECT count() FROM events").text.strip() == "30"


@pytest.mark.parametrize("view", ["raw_archive", "dead_letters_pii", "audit", "abuse", "v_order_completed_pii"])
@pytest.mark.parametrize("role", [Role.ANALYST, Role.TENANT])
def test_what_is_restricted_is_not_there(front: Front, role: Role, view: str) -> None:
    for name in (view, f"sluice.{view}", f"sluice.{view}_log"):
        assert asked(front, role, "acme" if role is Role.TENANT else "", f"SELECT * FROM {name}").status >= 400


def test_readers_get_no_raw_bytes(front: Front) -> None:
    for role, tenant in ((Role.ANALYST, ""), (Role.TENANT, "acme")):
        assert asked(front, role, tenant, "SELECT raw FROM dead_letters").code == 47
        assert asked(front, role, tenant, "SELECT raw FROM sluice.dead_letters_log").code in (60, 497)
