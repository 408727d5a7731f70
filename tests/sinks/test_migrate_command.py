"""`sluice migrate` on a real engine: what is pending, what was begun, what is missing, and what to do about it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

from cli.migrating import migrate
from core.errors import StateError
from core.settings import Settings
from sinks import migrate as migrations
from sinks.clickhouse import ClickHouse


def sluice(settings: Settings, *arguments: str) -> Result:
    done = CliRunner().invoke(migrate, arguments, env=settings.to_env(), standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done


def test_from_nothing_to_all_applied(database: Settings) -> None:
    count = len(migrations.load())
    assert sluice(database, "plan").output.count("pending") == count
    status = sluice(database, "status")
    assert (status.return_value, status.output.count("pending")) == (1, count)
    assert sluice(database, "apply").output.count("applied 00") == count
    assert sluice(database).output == "nothing to do: the database is up to date\n"
    assert sluice(database, "plan").output == "nothing to do: the database has all migrations\n"
    status = sluice(database, "status")
    assert (status.return_value, status.output.count("applied")) == (0, count)


def test_what_was_begun_and_not_finished_is_pending_and_finished(database: Settings) -> None:
    """Killed in the midst of the first file: some of its tables are there, and nothing says so but the ledger."""
    ClickHouse(database, database="").execute(f"CREATE DATABASE {database.clickhouse_database}")
    for statement in migrations.load()[0].statements[:2]:
        ClickHouse(database).execute(statement)
    assert "pending 0001 events" in sluice(database, "status").output
    sluice(database, "apply")
    assert sluice(database, "status").return_value == 0


def test_a_migration_that_lacks_what_it_builds_on_says_what_to_do(database: Settings) -> None:
    migrations.apply(database)
    server = ClickHouse(database)
    server.execute("ALTER TABLE migrations DELETE WHERE number = 4 SETTINGS mutations_sync = 2")
    server.execute("RENAME TABLE events_log TO away")
    with pytest.raises(StateError, match="migration 0004 enrichment cannot be applied") as refused:
        sluice(database, "apply")
    assert "sluice migrate status" in refused.value.hint
    status = sluice(database, "status")
    assert status.return_value == 1
    assert "events_log: the table is missing" in status.output
    server.execute("RENAME TABLE away TO events_log")
    sluice(database, "apply")
    assert sluice(database, "status").return_value == 0


def test_a_cluster_is_rendered_without_a_server() -> None:
    settings = Settings(clickhouse_cluster="main")
    text = sluice(settings, "plan", "--all", "--sql").output
    assert "CREATE TABLE IF NOT EXISTS events_log ON CLUSTER `main` (" in text
    assert "ENGINE = ReplicatedMergeTree\nPARTITION BY" in text
    assert text.count("\n-- 00") + 1 == len(migrations.load())
