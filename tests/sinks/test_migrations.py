"""Migrations: how files become statements, and which databases a release refuses."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from core.errors import StateError
from core.settings import Settings
from schemas.registry import bundled
from sinks import migrate
from sinks.migrate import Migration, load

SETTINGS = Settings(clickhouse_url="http://127.0.0.1:1", clickhouse_database="d")


@dataclass
class Ledger:
    """What a server would have been told, and the migrations it has."""

    applied: dict[int, str] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    fail_at: str = ""

    def connect(self, _settings: Settings, **_database: str) -> Ledger:
        return self

    def execute(self, sql: str, **parameters: Any) -> str:
        if self.fail_at and self.fail_at in sql:
            raise ConnectionError(sql)
        self.sent.append(sql)
        if sql.startswith("INSERT INTO migrations"):
            self.applied[parameters["number"]] = parameters["checksum"]
        return ""

    def rows(self, sql: str, **_bound: str) -> list[list[Any]]:
        return [[number, checksum] for number, checksum in self.applied.items()] if "FROM migrations" in sql else []


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    found = Ledger()
    monkeypatch.setattr(migrate, "ClickHouse", found.connect)
    # The views made from contracts are tested on a real engine.
    monkeypatch.setattr("sinks.views.apply", lambda _server, _registry, **_cluster: [])
    return found


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name.removeprefix('m')}.sql").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("SELECT 1;\n", ["SELECT 1"]),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;", ["SELECT 1"]),
        ("SELECT 1;\nSELECT\n  2;\n", ["SELECT 1", "SELECT\n  2"]),
        ("SELECT ';' AS a;\n", ["SELECT ';' AS a"]),
        ("-- first; then\nSELECT 1;\n", ["-- first; then\nSELECT 1"]),
        ("-- only words\n", []),
        ("SELECT 1;\n\n-- the end\n", ["SELECT 1"]),
        ("", []),
    ],
    ids=repr,
)
def test_statements_end_at_a_semicolon_that_ends_a_line(text: str, statements: list[str]) -> None:
    assert Migration(1, "x", text).statements == statements


def test_the_checksum_is_of_the_text() -> None:
    assert Migration(1, "a", "x").checksum == Migration(2, "b", "x").checksum
    assert Migration(1, "a", "x").checksum != Migration(1, "a", "x ").checksum


def test_a_double_number_is_refused(tmp_path: Path) -> None:
    write(tmp_path, **dict.fromkeys(["m0001_a", "m0002_b", "m0002_c"], "SELECT 1;\n"))
    with pytest.raises(StateError, match="same number"):
        load(tmp_path)


def test_files_are_loaded_in_order(tmp_path: Path) -> None:
    write(tmp_path, m0002_second="B;\n", m0001_first="A;\n")
    assert [(m.number, m.name, m.text) for m in load(tmp_path)] == [(1, "first", "A;\n"), (2, "second", "B;\n")]


def test_an_empty_database_gets_everything_once(ledger: Ledger) -> None:
    bundle = load()
    assert migrate.apply(SETTINGS) == bundle
    assert ledger.sent[0] == "CREATE DATABASE IF NOT EXISTS `d`"
    assert ledger.applied == {m.number: m.checksum for m in bundle}
    before = len(ledger.sent)
    assert migrate.apply(SETTINGS) == []
    assert len(ledger.sent) == before + 2, "the database and the ledger are only made sure of"


def test_a_migration_killed_half_way_is_applied_again(ledger: Ledger) -> None:
    ledger.fail_at = "pages_daily_log"
    with pytest.raises(ConnectionError):
        migrate.apply(SETTINGS)
    assert list(ledger.applied) == [1], "what did not finish is not recorded"
    ledger.fail_at = ""
    assert migrate.apply(SETTINGS) == load()[1:]


def test_a_changed_migration_is_refused(ledger: Ledger) -> None:
    ledger.applied = {1: "another checksum"}
    with pytest.raises(StateError, match="another text"):
        migrate.apply(SETTINGS)
    assert not any("events_log" in sql for sql in ledger.sent)


def test_a_database_of_a_later_release_is_refused(ledger: Ledger) -> None:
    ledger.applied = {m.number: m.checksum for m in load()} | {99: "x"}
    with pytest.raises(StateError, match="migration 99"):
        migrate.apply(SETTINGS)


STATEMENTS = [(m.number, s) for m in load() for s in m.statements]


@pytest.mark.parametrize(("number", "statement"), STATEMENTS, ids=lambda v: str(v)[:60])
def test_every_statement_can_be_run_again(number: int, statement: str) -> None:
    code = "\n".join(line for line in statement.splitlines() if line and not line.startswith("--"))
    if "-- unless: SELECT " in statement:
        assert re.match(r"(TRUNCATE TABLE|INSERT INTO \w+ SELECT|EXCHANGE TABLES) ", code)
    elif code.startswith("ALTER TABLE"):
        again = code.count("ADD COLUMN IF NOT EXISTS ") + len(re.findall(r"MODIFY COLUMN \w+ CODEC\(", code))
        assert code.count(" COLUMN ") == again
    else:
        assert re.match(
            r"CREATE ((TABLE|VIEW|MATERIALIZED VIEW) IF NOT EXISTS|OR REPLACE VIEW) |DROP (TABLE|VIEW) IF EXISTS ", code
        )
    assert not code.endswith(";")


def test_the_base_table_and_every_target_of_a_view_remember_tokens() -> None:
    """Without it a block that the base has already is counted twice in a rollup."""
    text = "\n".join(statement for _, statement in STATEMENTS)
    targets = set(re.findall(r"CREATE MATERIALIZED VIEW IF NOT EXISTS \w+ TO (\w+)", text))
    assert targets
    for table in {"events_log", *targets}:
        (statement,) = [s for _, s in STATEMENTS if f"CREATE TABLE IF NOT EXISTS {table} (" in s]
        assert "non_replicated_deduplication_window = 10000" in statement, table
        assert "PARTITION BY (arrival_day, generation)" in statement, table


def test_every_field_of_a_curated_record_is_a_column() -> None:
    text = "\n".join(s for _, s in STATEMENTS if re.search(r"(CREATE TABLE IF NOT EXISTS|ALTER TABLE) events_log", s))
    columns = set(re.findall(r"^    (?:ADD COLUMN IF NOT EXISTS )?(\w+) ", text, re.MULTILINE))
    assert {field["name"] for field in bundled().latest("event").source["fields"]} <= columns


def test_no_view_is_given_another_query() -> None:
    """Its blocks would have another token once the engine was restarted (tests/fault/test_view_tokens.py)."""
    assert [each.name for each in load() if any("MODIFY QUERY" in _code(s) for s in each.statements)] == []


def _code(statement: str) -> str:
    return "\n".join(line for line in statement.splitlines() if not line.startswith("--"))
