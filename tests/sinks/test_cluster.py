"""Migrations for a cluster: every statement becomes one that the engine's parser takes, and says what it should."""

from __future__ import annotations

import re

import pytest

from core.errors import InvariantError
from core.settings import Settings
from schemas.registry import bundled
from sinks import views
from sinks.clickhouse import ClickHouse
from sinks.cluster import render
from sinks.migrate import _LEDGER, load

STATEMENTS = [_LEDGER.strip(), *(s for m in load() for s in m.statements)]
VIEWS = [view.statement for each in views.load(bundled()) for view in each.views]


def test_without_a_cluster_nothing_changes() -> None:
    assert [render(s, "") for s in STATEMENTS] == STATEMENTS


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda s: re.sub(r"\W+", "-", s.splitlines()[0])[:50])
def test_a_statement_for_a_cluster_is_parsed(statement: str, engine_settings: Settings) -> None:
    rendered = render(statement, "main")
    code = "\n".join(line for line in rendered.splitlines() if not line.lstrip().startswith("--")).strip()
    server = ClickHouse(engine_settings, database="")
    assert server.execute(f"EXPLAIN AST {code}")
    if code.startswith("INSERT INTO"):
        assert rendered == statement, "rows are replicated by themselves"
        return
    assert " ON CLUSTER `main`" in code.partition("(")[0].partition("\n")[0]
    (formatted,) = server.rows("SELECT formatQuery({q:String})", q=code)[0]
    assert "ON CLUSTER main" in formatted
    if "CREATE TABLE" in code:
        assert re.search(r"ENGINE = Replicated(Aggregating)?MergeTree\b", code)
        assert "non_replicated" not in code
        assert ("replicated_deduplication_window = 10000" in code) == ("deduplication_window" in statement)
    else:
        assert "Replicated" not in code


def test_typed_views_go_to_the_cluster_too(engine_settings: Settings) -> None:
    assert VIEWS
    server = ClickHouse(engine_settings, database="")
    for statement in VIEWS:
        assert server.execute(f"EXPLAIN AST {render(statement, 'main')}")


@pytest.mark.parametrize(
    "statement", ["OPTIMIZE TABLE t", "CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = Log", "-- only words"]
)
def test_a_form_that_is_not_known_is_an_error(statement: str) -> None:
    with pytest.raises(InvariantError):
        render(statement, "main")
