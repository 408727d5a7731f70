"""Typed views as migrations: made once, again where something changed, and never back to an older form."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigError
from core.settings import Settings
from schemas import lock
from schemas.codegen.views import COMPILER
from sinks import migrate
from sinks.clickhouse import ClickHouse, UncertainError
from sinks.views import EventViews

ORDER: dict[str, Any] = {
    "type": "record",
    "name": "Order",
    "namespace": "sluice.events",
    "kind": "event",
    "doc": "An order.",
    "fields": [
        {"name": "total", "type": "long", "pii": "none"},
        {"name": "email", "type": "string", "pii": "personal"},
    ],
}
MORE: dict[str, Any] = ORDER | {
    "fields": [*ORDER["fields"], {"name": "coupon", "type": "string", "default": "", "pii": "none"}]
}


class Plan:
    """A folder of contracts, and the database that follows it."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = dataclasses.replace(settings, schemas_dir=str(folder))
        self.server = ClickHouse(self.settings)

    def release(self, **versions: dict[str, Any]) -> None:
        """`subject_1={…}`: the schema of version 1. Whatever was released before and is not named is gone."""
        released: lock.Lock = {}
        for number, (name, schema) in enumerate(versions.items()):
            subject, _, version = name.rpartition("_")
            path = self.folder / "avro" / subject / f"{version}.avsc"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(schema))
            released.setdefault(subject, {})[int(version)] = lock.entry(schema, lock.FIRST_FREE_ID + number)
        lock.write(self.folder, released)

    def migrate(self) -> list[str]:
        return [str(each) for each in migrate.apply(self.settings) if isinstance(each, EventViews)]

    def columns(self, view: str) -> list[str]:
        """Those made from the contract."""
        names = [name for (name, *_) in self.server.rows(f"DESCRIBE TABLE {view}")]
        return names[names.index("extra_names") + 1 :]


@pytest.fixture
def plan(tmp_path: Path, database: Settings) -> Plan:
    return Plan(tmp_path, database)


def test_the_views_are_made_once(plan: Plan) -> None:
    plan.release(order_1=ORDER, other_thing_1=ORDER)
    made = ["v_order, v_order_pii from order:1", "v_other_thing, v_other_thing_pii from other_thing:1"]
    assert plan.migrate() == made
    assert plan.columns("v_order") == ["total"]
    assert plan.columns("v_order_pii") == ["extra", "total", "email"]
    assert plan.migrate() == []


def test_a_draft_and_a_context_have_no_view(plan: Plan) -> None:
    context = ORDER | {"kind": "context", "namespace": "sluice.contexts"}
    plan.release(order_1=ORDER, device_context_1=context)
    (plan.folder / "avro/order/2.avsc").write_text(json.dumps(MORE))
    assert plan.migrate() == ["v_order, v_order_pii from order:1"]
    assert plan.columns("v_order") == ["total"]


def test_a_new_version_makes_its_events_views_anew(plan: Plan) -> None:
    plan.release(order_1=ORDER, other_1=ORDER)
    plan.migrate()
    plan.release(order_1=ORDER, order_2=MORE, other_1=ORDER)
    assert plan.migrate() == ["v_order, v_order_pii from order:2"]
    assert plan.columns("v_order") == ["total", "coupon"]
    assert plan.migrate() == []


def test_an_older_release_leaves_the_views_of_a_newer_one(plan: Plan) -> None:
    plan.release(order_1=ORDER, order_2=MORE)
    plan.migrate()
    plan.release(order_1=ORDER)
    assert plan.migrate() == []
    assert plan.columns("v_order") == ["total", "coupon"]


def test_an_older_compiler_leaves_the_views_of_a_newer_one(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    plan.release(order_1=ORDER)
    monkeypatch.setattr("sinks.views.COMPILER", COMPILER + 1)
    assert len(plan.migrate()) == 1
    monkeypatch.undo()
    plan.release(order_1=ORDER | {"doc": "Said otherwise, as another compiler would."})
    assert plan.migrate() == []


def test_a_newer_compiler_makes_the_views_anew(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    plan.release(order_1=ORDER)
    plan.migrate()
    monkeypatch.setattr("sinks.views.COMPILER", COMPILER + 1)
    assert len(plan.migrate()) == 1
    assert plan.migrate() == []


def test_a_view_that_was_dropped_comes_back(plan: Plan) -> None:
    plan.release(order_1=ORDER)
    plan.migrate()
    plan.server.execute("DROP VIEW v_order_pii")
    assert len(plan.migrate()) == 1
    assert plan.columns("v_order_pii") == ["extra", "total", "email"]


@pytest.mark.parametrize("statement", ["CREATE OR REPLACE VIEW `v_order_pii`", "INSERT INTO view_migrations"])
def test_views_killed_half_way_are_made_again(plan: Plan, monkeypatch: pytest.MonkeyPatch, statement: str) -> None:
    def fail(server: ClickHouse, sql: str, **parameters: Any) -> str:
        if sql.startswith(statement):
            raise UncertainError("killed")
        return execute(server, sql, **parameters)

    execute = ClickHouse.execute
    plan.release(order_1=ORDER)
    monkeypatch.setattr(ClickHouse, "execute", fail)
    with pytest.raises(UncertainError):
        plan.migrate()
    monkeypatch.undo()
    assert plan.migrate() == ["v_order, v_order_pii from order:1"]
    assert plan.migrate() == []


def test_two_events_with_one_views_name_are_refused(plan: Plan) -> None:
    """Else the fields that one view hides would show under its name."""
    plan.release(order_1=ORDER, order_pii_1=ORDER)
    with pytest.raises(ConfigError, match="order and order_pii would both have a view v_order_pii"):
        plan.migrate()


def test_the_events_of_this_release_have_their_views(database: Settings) -> None:
    applied = [str(each) for each in migrate.apply(database)]
    assert any(each.startswith("v_page_view") for each in applied)
    assert migrate.apply(database) == []


def test_the_second_form_of_the_events_table_is_reached_from_the_first(
    database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows from before are there, and the view `events` knows the new columns."""
    everything = migrate.load()
    monkeypatch.setattr(migrate, "load", lambda: everything[:2])
    monkeypatch.setattr("sinks.views.apply", lambda *_, **__: [])
    migrate.apply(database)
    server = ClickHouse(database)
    server.execute("INSERT INTO events_log (tenant, event, properties) VALUES ('t', 'page_view', '{\"title\": \"T\"}')")
    monkeypatch.undo()
    migrate.apply(database)
    assert server.rows("SELECT stable_version, extra FROM events") == [[0, ""]]
    assert server.rows("SELECT tenant, title FROM v_page_view") == [["t", "T"]]
    for statement in everything[2].statements:
        server.execute(statement)
    assert server.rows("SELECT stable_version, extra FROM events") == [[0, ""]]
