"""The queries that pages show run, on a real engine with the tables and views of the bundled contracts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.settings import Settings
from schemas.catalog.fields import rows
from schemas.catalog.queries import Warehouse, warehouse
from schemas.codegen.views import views
from schemas.compatibility.types import parse_record
from schemas.registry import Schema, bundled
from sinks import migrate
from sinks.clickhouse import ClickHouse
from tests.infra.clickhouse.front import PASSWORD, Front
from tests.schemas.catalog.contracts import event, field, registry

EVENTS = [bundled().latest(name) for name in bundled().subjects("event")]


def warehouse_of(schema: Schema) -> Warehouse:
    versions = [bundled().get(schema.subject, version) for version in bundled().versions(schema.subject)]
    return warehouse(versions, rows(parse_record(schema.resolved), {}))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    with Front(tmp_path_factory.mktemp("engine") / "data") as front:
        settings = Settings(
            clickhouse_url=f"http://127.0.0.1:{front.port}", clickhouse_user="default", clickhouse_password=PASSWORD
        )
        migrate.apply(settings)
        made = ClickHouse(settings)
        for schema in EVENTS:
            for view in views({schema.version: schema.resolved}, schema.subject):
                made.execute(view.statement)
        yield made


@pytest.mark.parametrize("schema", EVENTS, ids=lambda schema: schema.subject)
def test_each_query_runs(schema: Schema, server: ClickHouse) -> None:
    for query in warehouse_of(schema).queries:
        server.fetch(query.sql, form="TabSeparatedWithNames")


def test_a_query_asks_by_a_field_with_few_values() -> None:
    asked = [query.question for query in warehouse_of(bundled().latest("order_completed")).queries]
    assert asked[0] == "How many a day, and of how many visitors?"
    assert asked[1] == "How many by `currency`, with the average of `total`?"


def test_no_query_asks_for_what_the_view_hides(tmp_path: Path) -> None:
    kind = {"allowed": ["a", "b"]}
    open_, hidden = event("Note", field("kind", **kind)), event("Note", field("kind", **kind, pii="personal"))
    found = registry(tmp_path, {"note": [open_, hidden]})
    note = [found.get("note", 1), found.get("note", 2)]
    queries = [
        " ".join(query.sql for query in warehouse(note[:last], rows(parse_record(note[last - 1].resolved), {})).queries)
        for last in (1, 2)
    ]
    assert ["`kind`" in sql for sql in queries] == [True, False]
