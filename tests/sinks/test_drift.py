"""What somebody changed by hand is named, with the statement that puts it right."""

from __future__ import annotations

from core.settings import Settings
from sinks import migrate
from sinks.clickhouse import ClickHouse
from sinks.drift import drift


def test_a_database_as_the_migrations_made_it_has_none(database: Settings) -> None:
    migrate.apply(database)
    server = ClickHouse(database)
    server.execute("ALTER TABLE events_log ADD COLUMN mine UInt8")
    server.execute("CREATE VIEW my_view AS SELECT 1")
    assert drift(database) == []
    assert not server.rows("SELECT name FROM system.databases WHERE name LIKE '%_expected_%'")


def test_what_is_missing_is_named_and_its_remedy_heals(database: Settings) -> None:
    migrate.apply(database)
    server = ClickHouse(database)
    for statement in (
        "ALTER TABLE events_log DROP COLUMN geo_city",
        "ALTER TABLE events_log MODIFY COLUMN referrer_host DEFAULT ''",
        "DROP TABLE utm_daily_fill",
        "DROP TABLE audit_log",
        "DROP VIEW pages_daily",
        "DROP VIEW hidden_generations",  # which is read by the view before it
        "DROP VIEW events",
        "DROP TABLE countries_daily_fill",  # which reads what goes next
        "ALTER TABLE events_log DROP COLUMN geo_country",
    ):
        server.execute(statement)
    found = drift(database)
    assert {str(each) for each in found} >= {
        "events_log: the column geo_city is missing",
        "events_log: the column referrer_host has another default",
        "utm_daily_fill: the view is missing",
        "audit_log: the table is missing",
        "pages_daily: the view is missing",
    }
    for each in found:
        server.execute(each.remedy)
    assert drift(database) == []


def test_another_type_is_for_a_person_to_decide(database: Settings) -> None:
    migrate.apply(database)
    ClickHouse(database).execute("ALTER TABLE events_log MODIFY COLUMN click_id LowCardinality(String)")
    (found,) = drift(database)
    assert (str(found), found.remedy) == ("events_log: the column click_id is LowCardinality(String), not String", "")
