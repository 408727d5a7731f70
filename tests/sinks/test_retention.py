"""What is deleted by age: planned, applied, and not taken for a loss."""

from __future__ import annotations

import dataclasses
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError, RefusedError
from core.settings import Settings
from schemas.registry import bundled
from sinks import recount
from sinks.clickhouse import ClickHouse, ServerError
from sinks.rebuild import rebuild
from sinks.retention import personal, plan
from sinks.retention.policy import Layer, policy
from tests.sinks.days import DAYS, prepare, store, totals, view, views

TODAY = date.fromisoformat(DAYS[-1])
EVERYTHING = {f"retention_{layer}_days": 0 for layer in Layer}


@pytest.fixture
def empty(database: Settings) -> ClickHouse:
    return prepare(database)


@pytest.fixture
def server(empty: ClickHouse) -> ClickHouse:
    """Ten days of events, the last one today; one insert, which is cheaper."""
    store(empty, [row for day in range(10) for row in views(day * 100, 5, day=day)])
    return empty


def apply(server: ClickHouse, **changed: Any) -> list[plan.Step]:
    wanted = policy(dataclasses.replace(Settings(), **(EVERYTHING | changed)))
    steps = plan.plan(server, wanted, bundled(), today=TODAY)
    plan.apply(server, steps, progress=lambda *_: None)
    assert [s for s in plan.plan(server, wanted, bundled(), today=TODAY) if "TTL" not in s.statement] == []
    return steps


def stored(server: ClickHouse, table: str = "events_log") -> list[str]:
    return [day for (day,) in server.rows(f"SELECT DISTINCT arrival_day FROM {table} ORDER BY 1")]


def differences(server: ClickHouse) -> list[recount.Difference]:
    found = recount.generations(server)
    return [each for day, generation in found for each in recount.differences(server, day, generation)]


def test_by_default_raw_records_outlive_events_and_nothing_is_warned_of() -> None:
    found = policy(Settings())
    assert found.layers[Layer.ARCHIVE] > found.layers[Layer.EVENTS] > 0
    assert found.warnings(Settings()) == []


def test_nothing_is_planned_where_all_is_kept(server: ClickHouse) -> None:
    assert apply(server) == []


def test_old_partitions_go_and_are_no_difference(server: ClickHouse) -> None:
    steps = apply(server, retention_events_days=3)
    assert len(steps) == 6
    assert {step.rows for step in steps} == {5}
    assert stored(server) == DAYS[6:]
    assert stored(server, "pages_daily_log") == DAYS, "rollups outlive the events"
    assert differences(server) == []
    with pytest.raises(RefusedError, match="deleted by retention"):
        rebuild(server, [DAYS[0]], run="r", plans=dict)
    assert totals(server) == (20, 50, 50, 50)
    rebuild(server, [DAYS[7]], run="r", plans=dict)
    assert totals(server) == (20, 50, 50, 50)


def test_rollups_may_go_first(server: ClickHouse) -> None:
    apply(server, retention_rollups_days=3)
    assert stored(server) == DAYS
    assert stored(server, "sessions_log") == DAYS[6:]
    assert differences(server) == []


def test_a_tenants_own_period_is_a_ttl_of_each_table(empty: ClickHouse) -> None:
    server = empty
    old = (date.today() - timedelta(days=40)).isoformat()  # noqa: DTZ011 (the engine's clock deletes)
    offset = int((date.fromisoformat(old) - date.fromisoformat(DAYS[0])).days)
    for number, tenant in enumerate(("shop", "it's")):
        store(server, views(5_000 + number * 10, 3, day=offset, tenant=tenant))
    steps = apply(server, retention_tenants="shop=30, it's=90")
    assert {step.what.split(":")[0] for step in steps} == {"archive", "events", "rollups", "dead_letters"}
    for table in ("events_log", "pages_daily_log", "sessions_log"):
        server.execute(f"OPTIMIZE TABLE {table} FINAL")
        assert server.rows(f"SELECT DISTINCT tenant FROM {table} WHERE arrival_day = '{old}'") == [["it's"]]
    assert recount.differences(server, old, 0) == []
    assert apply(server, retention_tenants="shop=30,it's=90") == []
    assert len(apply(server)) == len(steps), "the TTLs are taken away again"


def test_personal_data_is_taken_out_of_rows_that_stay(server: ClickHouse) -> None:
    properties = {"email": "a@b.example", "plan": "gold"}
    rows = [
        view(9_000, day=1, user_id="u", context='{"a":1}', extra='{"x":1}', properties='{"status":200}'),
        view(
            9_001, day=1, event="identity", event_type="identity", properties=msgspec.json.encode(properties).decode()
        ),
    ]
    store(server, rows)
    store(server, [view(9_002, day=9, user_id="u")])
    steps = apply(server, retention_personal_days=5)
    assert [step.rows for step in steps if "dead letters" not in step.what] == [2]
    found = server.rows(
        "SELECT user_id, context, extra, properties FROM events "
        "WHERE raw_offset IN (90000, 90010, 90020) ORDER BY raw_offset"
    )
    assert found[0] == ["", "{}", "", '{"status":200}']
    assert "email" not in found[1][3]
    assert found[2][0] == "u", "of today"
    assert differences(server) == []


def test_properties_stay_by_the_word_of_the_contract() -> None:
    keep = personal.open_properties(bundled())
    assert "email" not in keep["identity"]
    for subject, names in keep.items():
        newest = {f["name"]: f for f in bundled().latest(subject).resolved["fields"]}
        assert all(newest[name].get("pii") in {"none", "pseudonymous"} for name in names if name in newest)


@pytest.mark.parametrize(
    ("changed", "warning"),
    [
        ({"retention_archive_days": 30}, "raw records are kept for 30 days, events for 730 days"),
        ({"retention_events_days": 0}, "raw records are kept for 800 days, events for ever"),
        ({"retention_outcomes_days": 10}, "outcomes are kept for 10 days"),
        ({"retention_personal_days": 30}, "personal data is emptied after 30 days, but archive keeps it for 800 days"),
        ({"raw_retention_hours": 3}, "Kafka keeps raw records for 3 h, less than the dedupe window of 24 h"),
        ({"curated_retention_hours": 3}, "a dedupe window of 24 h cannot be rebuilt"),
        ({"retention_archive_days": 10, "retention_events_days": 5}, "is shorter than the raw topic"),
    ],
    ids=str,
)
def test_what_does_not_fit_together_is_warned_of(changed: dict[str, Any], warning: str) -> None:
    settings = dataclasses.replace(Settings(), **changed)
    assert any(warning in each for each in policy(settings).warnings(settings))


@pytest.mark.parametrize("text", ["shop", "shop=", "shop=0", "=3", "shop=3;blog=4", "a b=3", "shop=-1"])
def test_a_tenant_without_days_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="must look like tenant=days"):
        policy(dataclasses.replace(Settings(), retention_tenants=text))


@given(st.dictionaries(st.from_regex(r"[a-z0-9-]{1,8}", fullmatch=True), st.integers(1, 9_999), max_size=4))
def test_tenants_are_read(tenants: dict[str, int]) -> None:
    text = ", ".join(f"{name} = {days}" for name, days in tenants.items())
    assert policy(dataclasses.replace(Settings(), retention_tenants=text)).tenants == tenants


# -- a full disk


@pytest.mark.parametrize("table", ["events_log", "pages_daily_log"])
def test_a_full_disk_refuses_rows_and_loses_none(empty: ClickHouse, table: str) -> None:
    """In the base nothing is stored. In a rollup the base has the block already, and the repeat completes it."""
    server = empty
    store(server, views(0, 5, day=0))
    setting = "min_free_disk_bytes_to_perform_insert"
    server.execute(f"ALTER TABLE {table} MODIFY SETTING {setting} = 1000000000000000")
    rows = views(5_000, 5, day=0)
    with pytest.raises(Exception, match="ClickHouse cannot take rows now") as caught:
        store(server, rows)
    assert isinstance(caught.value.__cause__, ServerError)
    assert caught.value.__cause__.number == 243
    server.execute(f"ALTER TABLE {table} MODIFY SETTING {setting} = 0")
    store(server, rows)
    assert totals(server) == (10, 10, 10, 10)
    assert differences(server) == []
