"""Typed views on a real engine: what a client sent comes out as what the contract says it is."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from core.settings import Settings
from schemas.codegen.views import view_sql
from sinks import migrate
from sinks.clickhouse import ClickHouse
from sinks.tables import events
from sinks.writer import INSERT_SETTINGS
from tests.sinks.curated import row

FIELDS: list[dict[str, Any]] = [
    {"name": "order_id", "type": "string", "doc": "The shop's own number.", "pii": "pseudonymous"},
    {"name": "quantity", "type": "int", "default": 1, "pii": "none"},
    {"name": "points", "type": "long", "default": 0, "pii": "none"},
    {"name": "weight", "type": "double", "default": 0, "doc": "Weight.", "unit": "kg", "pii": "none"},
    {"name": "gift", "type": "boolean", "default": False, "pii": "none"},
    {"name": "note", "type": ["null", "string"], "default": None, "pii": "none"},
    {"name": "currency", "type": "string", "default": "EUR", "pii": "none"},
    {
        "name": "channel",
        "type": {"type": "enum", "name": "Channel", "symbols": ["web", "shop"]},
        "default": "web",
        "pii": "none",
    },
    {
        "name": "total",
        "type": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2},
        "default": "\u0004\u00d2",
        "pii": "none",
    },
    {"name": "paid_at", "type": {"type": "long", "logicalType": "timestamp-millis"}, "default": 0, "pii": "none"},
    {
        "name": "seen_at",
        "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}],
        "default": None,
        "pii": "none",
    },
    {"name": "due", "type": ["null", {"type": "int", "logicalType": "date"}], "default": None, "pii": "none"},
    {"name": "cart", "type": ["null", {"type": "string", "logicalType": "uuid"}], "default": None, "pii": "none"},
    {"name": "tags", "type": {"type": "array", "items": "string"}, "default": [], "pii": "none"},
    {"name": "scores", "type": {"type": "map", "values": "long"}, "default": {}, "pii": "none"},
    {
        "name": "address",
        "type": [
            "null",
            {
                "type": "record",
                "name": "Address",
                "fields": [
                    {"name": "country", "type": "string", "default": "DE", "doc": "Country code.", "pii": "none"},
                    {"name": "street", "type": "string", "pii": "personal"},
                ],
            },
        ],
        "default": None,
    },
    {
        "name": "items",
        "type": {
            "type": "array",
            "items": {
                "type": "record",
                "name": "Item",
                "fields": [
                    {"name": "sku", "type": "string", "pii": "none"},
                    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
                    {"name": "sold_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
                    {"name": "labels", "type": {"type": "array", "items": ["null", "string"]}, "default": []},
                ],
            },
        },
        "default": [],
        "pii": "none",
    },
    {"name": "voucher", "type": ["null", "string", "long"], "default": None, "pii": "none"},
    {"name": "email", "type": ["null", "string"], "default": None, "doc": "Where the receipt goes.", "pii": "personal"},
    {"name": "scan", "type": ["null", "bytes"], "default": None, "pii": "sensitive"},
]


def contract(fields: list[dict[str, Any]], **attributes: Any) -> dict[str, Any]:
    head = {"type": "record", "name": "Order", "namespace": "sluice.events", "kind": "event", "doc": "An order."}
    return head | attributes | {"fields": fields}


@dataclasses.dataclass
class Warehouse:
    settings: Settings

    @property
    def server(self) -> ClickHouse:
        return ClickHouse(self.settings)

    def make(self, *versions: dict[str, Any], event: str = "order_completed") -> None:
        for statement in view_sql(versions, event):
            self.server.execute(statement)

    def add(
        self, properties: Any, *, event: str = "order_completed", version: int = 1, stable: int = 0, extra: str = ""
    ) -> None:
        """One row whose properties are this JSON, or are written as this."""
        text = properties if isinstance(properties, str) else json.dumps(properties, ensure_ascii=False)
        number = self.server.scalar("SELECT count() FROM events_log")
        value = {"event": event, "version": version, "stable_version": stable, "properties": text, "extra": extra}
        own = {"tenant": "t", "event_id": f"e{number}", "raw_offset": number, "arrival_at": "2026-05-01 00:00:00.000"}
        self.server.insert("INSERT INTO events_log FORMAT JSONEachRow", msgspec.json.encode(value | own), settings={})

    def column(self, name: str, *, view: str = "v_order_completed_pii") -> list[Any]:
        """The column's values, in the order the rows were added."""
        quoted = "SETTINGS output_format_json_quote_decimals = 1"
        return [
            value
            for (value,) in self.server.rows(
                f"SELECT `{name}` FROM {view} ORDER BY toUInt32(substr(event_id, 2)) {quoted}"
            )
        ]

    def types(self, view: str) -> dict[str, str]:
        return dict(
            self.server.rows(
                "SELECT name, type FROM system.columns WHERE table = {view:String} "
                "AND database = currentDatabase() ORDER BY position",
                view=view,
            )
        )

    def comments(self, view: str) -> dict[str, str]:
        return dict(
            self.server.rows(
                "SELECT name, comment FROM system.columns WHERE table = {view:String} AND database = currentDatabase()",
                view=view,
            )
        )


@pytest.fixture(scope="module")
def shared(engine_settings: Settings) -> Warehouse:
    """One database for all tests that only add rows of events of their own."""
    settings = dataclasses.replace(engine_settings, clickhouse_database="typed_views")
    migrate.apply(settings)
    return Warehouse(settings)


@pytest.fixture
def warehouse(shared: Warehouse) -> Iterator[Warehouse]:
    shared.server.execute("TRUNCATE TABLE events_log")
    yield shared
    made = "SELECT name FROM system.tables WHERE database = currentDatabase() AND name LIKE 'v\\_order%'"
    for (name,) in shared.server.rows(made):
        shared.server.execute(f"DROP VIEW {name}")


def one(warehouse: Warehouse, field: dict[str, Any], *values: Any) -> list[Any]:
    """What the column of a field comes out as, for each JSON value (text) that it may have."""
    warehouse.make(contract([{"pii": "personal"} | field]))
    for value in values:
        warehouse.add(f'{{"x": {value}}}')
    return warehouse.column("x")


def test_an_order_comes_out_as_the_contract_says(warehouse: Warehouse) -> None:
    warehouse.make(contract(FIELDS))
    warehouse.add(
        {
            "order_id": "A-1",
            "quantity": 3,
            "points": 2**53 + 1,
            "weight": 0.5,
            "gift": True,
            "note": 'it\'s \\ "so"\té\u2028',
            "currency": "USD",
            "channel": "shop",
            "total": "1234567890123456.78",
            "paid_at": "2026-05-01T12:00:00.123+02:00",
            "seen_at": 1_777_777_777_123_456,
            "due": "2026-06-01",
            "cart": "61f0c404-5cb3-41e7-907b-a6006ad3dba0",
            "tags": ["a", "b'c\\"],
            "scores": {"k'": 2**53 + 1},
            "address": {"country": "FR", "street": "Rue X", "left_over": 1},
            "items": [
                {"sku": "s1", "price": "1.10", "sold_at": 1_000, "labels": ["a", None]},
                {"sku": "s2", "price": 2.29, "sold_at": "1970-01-01T00:00:02Z"},
            ],
            "voucher": 7,
            "email": "a@b.example",
            "scan": "AAH/",
        }
    )
    warehouse.add({"order_id": "A-2"})
    expected: dict[str, tuple[str, Any, Any]] = {
        "order_id": ("String", "A-1", "A-2"),
        "quantity": ("Int32", 3, 1),
        "points": ("Int64", 2**53 + 1, 0),
        "weight": ("Float64", 0.5, 0),
        "gift": ("Bool", True, False),
        "note": ("Nullable(String)", 'it\'s \\ "so"\té\u2028', None),
        "currency": ("String", "USD", "EUR"),
        "channel": ("LowCardinality(String)", "shop", "web"),
        "total": ("Decimal(18, 2)", "1234567890123456.78", "12.34"),
        "paid_at": ("DateTime64(3, 'UTC')", "2026-05-01 10:00:00.123", "1970-01-01 00:00:00.000"),
        "seen_at": ("Nullable(DateTime64(6, 'UTC'))", "2026-05-03 03:09:37.123456", None),
        "due": ("Nullable(Date32)", "2026-06-01", None),
        "cart": ("Nullable(UUID)", "61f0c404-5cb3-41e7-907b-a6006ad3dba0", None),
        "tags": ("Array(String)", ["a", "b'c\\"], []),
        "scores": ("Map(String, Int64)", {"k'": 2**53 + 1}, {}),
        "address_country": ("Nullable(String)", "FR", None),
        "address_street": ("Nullable(String)", "Rue X", None),
        "items_sku": ("Array(String)", ["s1", "s2"], []),
        "items_price": ("Array(Decimal(9, 2))", ["1.1", "2.29"], []),
        "items_sold_at": (
            "Array(DateTime64(3, 'UTC'))",
            ["1970-01-01 00:00:01.000", "1970-01-01 00:00:02.000"],
            [],
        ),
        "items_labels": ("Array(Array(Nullable(String)))", [["a", None], []], []),
        "voucher": ("Nullable(String)", "7", None),
        "email": ("Nullable(String)", "a@b.example", None),
        "scan": ("Nullable(String)", "AAH/", None),
    }
    found = {name: tuple(warehouse.column(name)) for name in expected}
    assert found == {name: (first, second) for name, (_, first, second) in expected.items()}
    types = warehouse.types("v_order_completed_pii")
    assert {name: types[name] for name in expected} == {name: type_ for name, (type_, _, _) in expected.items()}


def test_rows_that_came_the_usual_way_are_there(warehouse: Warehouse) -> None:
    """Of both versions of the curated record."""
    warehouse.make(contract(FIELDS))
    about: dict[str, Any] = {
        "tenant": "t",
        "event": "order_completed",
        "version": 1,
        "visitor_id": "v",
        "url": "https://x.example/a?b",
    }
    sent = [
        row(1, written_as=1, properties='{"order_id": "old", "total": "1.50"}', event_id="e1", **about),
        row(2, properties='{"order_id": "new"}', extra='{"odd": "x"}', stable_version=1, event_id="e2", **about),
    ]
    warehouse.server.insert(events().insert, events().body(0, sent, 0), settings=INSERT_SETTINGS)
    assert warehouse.column("order_id") == ["old", "new"]
    assert warehouse.column("total") == ["1.5", "12.34"]
    assert warehouse.column("extra") == ["", '{"odd": "x"}']
    assert warehouse.column("extra_names") == [[], ["odd"]]
    assert warehouse.column("stable_version") == [0, 1]
    assert warehouse.column("path", view="v_order_completed") == ["/a", "/a"]


MILLIS = {"name": "x", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]}
MICROS = {"name": "x", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]}


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        (MILLIS, "1777777777123", "2026-05-03 03:09:37.123"),
        (MILLIS, "0", "1970-01-01 00:00:00.000"),
        (MILLIS, "-1", "1969-12-31 23:59:59.999"),
        (MILLIS, "5", "1970-01-01 00:00:00.005"),
        (MILLIS, "20260501", "1970-01-01 05:37:40.501"),
        (MILLIS, '"2026-05-03T03:09:37.123Z"', "2026-05-03 03:09:37.123"),
        (MILLIS, '"2026-05-03T03:09:37.123999Z"', "2026-05-03 03:09:37.123"),
        (MILLIS, '"2026-05-03T00:09:37-03:00"', "2026-05-03 03:09:37.000"),
        (MILLIS, '"2026-05-03t03:09:37z"', "2026-05-03 03:09:37.000"),
        (MILLIS, '"2026-05-03 03:09:37+00:00"', "2026-05-03 03:09:37.000"),
        (MILLIS, '"1969-12-31T23:59:59.999Z"', "1969-12-31 23:59:59.999"),
        (MILLIS, '"1600-02-29T00:00:00Z"', "1600-02-29 00:00:00.000"),
        (MILLIS, "null", None),
        (MILLIS, '"no time"', None),
        (MICROS, "1777777777123456", "2026-05-03 03:09:37.123456"),
        (MICROS, '"2026-05-03T03:09:37.123456Z"', "2026-05-03 03:09:37.123456"),
        (MICROS, '"2026-05-03T05:09:37.5+02:00"', "2026-05-03 03:09:37.500000"),
        ({"name": "x", "type": ["null", {"type": "int", "logicalType": "date"}]}, "20000", "2024-10-04"),
        ({"name": "x", "type": ["null", {"type": "int", "logicalType": "date"}]}, "-1", "1969-12-31"),
        ({"name": "x", "type": ["null", {"type": "int", "logicalType": "date"}]}, '"2024-02-29"', "2024-02-29"),
    ],
    ids=lambda v: str(v.get("type")) if isinstance(v, dict) else str(v),
)
def test_both_forms_of_a_time_come_out_right(
    warehouse: Warehouse, field: dict[str, Any], value: str, expected: str | None
) -> None:
    assert one(warehouse, field, value) == [expected]


def decimal(precision: int, scale: int) -> dict[str, Any]:
    return {
        "name": "x",
        "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}],
    }


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        (decimal(9, 2), '"1.15"', "1.15"),
        (decimal(9, 2), "1.15", "1.15"),
        (decimal(9, 2), "-0.29", "-0.29"),
        (decimal(9, 2), "7", "7"),
        (decimal(9, 2), "99999999999", None),
        (decimal(9, 2), "1e999", None),
        (decimal(9, 2), '"x"', None),
        (decimal(38, 10), '"-1234567890123456789012345678.0123456789"', "-1234567890123456789012345678.0123456789"),
        (decimal(38, 0), "18446744073709551615", "18446744073709551615"),
        (decimal(38, 0), "123456789012345678901234567890", "123456789012345678901234567890"),
        (decimal(76, 1), '"1.5"', "1.5"),
        (decimal(90, 1), '"1.5"', "1.5"),
    ],
    ids=str,
)
def test_a_decimal_keeps_its_digits(warehouse: Warehouse, field: dict[str, Any], value: str, expected: Any) -> None:
    assert one(warehouse, field, value) == [expected]


def test_a_default_is_of_the_version_a_row_has(warehouse: Warehouse) -> None:
    first = contract([{"name": "x", "type": "string", "default": "old", "pii": "none"}])
    second = contract([{"name": "x", "type": "string", "default": "new", "pii": "none"}])
    warehouse.make(first, second)
    warehouse.add("{}", version=1)
    warehouse.add("{}", version=1, stable=2)
    warehouse.add("{}", version=2)
    warehouse.add('{"x": ""}', version=2)
    assert warehouse.column("x", view="v_order_completed") == ["old", "new", "new", ""]


def test_fields_of_a_record_that_is_null_are_null(warehouse: Warehouse) -> None:
    warehouse.make(contract(FIELDS))
    for address in ("null", '{"street": "S"}', '{"country": "FR", "street": "S"}', "5"):
        warehouse.add(f'{{"address": {address}}}')
    assert warehouse.column("address_country") == [None, "DE", "FR", None]
    assert warehouse.column("address_street") == [None, "S", "S", None]


def test_a_record_has_its_own_default(warehouse: Warehouse) -> None:
    inner = {
        "type": "record",
        "name": "In",
        "fields": [{"name": "y", "type": "int", "default": 1}, {"name": "z", "type": "int"}],
    }
    warehouse.make(contract([{"name": "x", "type": inner, "default": {"y": 5, "z": 6}, "pii": "personal"}]))
    warehouse.add("{}")
    warehouse.add('{"x": {"z": 7}}')
    assert warehouse.column("x_y") == [5, 1]
    assert warehouse.column("x_z") == [6, 7]


def test_a_type_that_contains_itself_stays_json(warehouse: Warehouse) -> None:
    node = {
        "type": "record",
        "name": "Node",
        "fields": [
            {"name": "label", "type": "string", "pii": "none"},
            {"name": "below", "type": {"type": "array", "items": "Node"}, "default": [], "pii": "none"},
        ],
    }
    warehouse.make(contract([{"name": "x", "type": node}]))
    warehouse.add('{"x": {"label": "a", "below": [{"label": "b", "below": [{"label": "c"}]}]}}')
    assert warehouse.column("x_label") == ["a"]
    assert [json.loads(text) for text in warehouse.column("x_below")[0]] == [{"label": "b", "below": [{"label": "c"}]}]
    assert "x_below" not in warehouse.types("v_order_completed"), "what is in it, no class covers"


STRANGE = [
    '""',
    '"x"',
    "5",
    "-1.5",
    "1e300",
    "true",
    "null",
    "[]",
    "[1]",
    '["x", null, {}]',
    "{}",
    '{"a": [1]}',
    '[{"a": null}]',
    str(2**70),
    '"2026-13-99T99:99:99Z"',
]


def test_no_row_breaks_a_query(warehouse: Warehouse) -> None:
    """Rows of a version long gone, or written by hand: each value in each field."""
    warehouse.make(contract(FIELDS))
    for value in STRANGE:
        each = ", ".join(f'"{field["name"]}": {value}' for field in FIELDS)
        warehouse.add(f"{{{each}}}")
        warehouse.add(f'{{"items": [{value}], "address": {{"country": {value}}}, "scores": {{"a": {value}}}}}')
    for text in ("", "[]", "5", "null", "{", '{"order_id": "x"'):
        warehouse.add(text)
    warehouse.server.execute("SELECT * FROM v_order_completed_pii FORMAT Null")
    assert len(warehouse.column("order_id")) == 2 * len(STRANGE) + 6


def test_personal_fields_are_in_one_view_only(warehouse: Warehouse) -> None:
    unclassed = {"name": "unclassed", "type": ["null", "string"], "default": None}
    warehouse.make(contract([*FIELDS, unclassed]))
    warehouse.add(
        {"email": "a@b.example", "address": {"street": "S", "country": "FR"}, "scan": "AAEC", "unclassed": "u"},
        extra='{"phone": "1"}',
    )
    hidden = {"email", "address_street", "scan", "unclassed", "extra"}
    assert set(warehouse.types("v_order_completed_pii")) - set(warehouse.types("v_order_completed")) == hidden
    shown = warehouse.server.execute("SELECT * FROM v_order_completed FORMAT JSONEachRow")
    assert not [secret for secret in ("a@b.example", "AAEC", '"S"', '"u"', '"1"') if secret in shown]
    assert "FR" in shown


def test_without_personal_fields_there_is_one_view(warehouse: Warehouse) -> None:
    warehouse.make(
        contract(
            [field for field in FIELDS if field.get("pii") in ("none", "pseudonymous") and field["name"] != "items"]
        )
    )
    assert not warehouse.types("v_order_completed_pii")
    assert warehouse.types("v_order_completed")["extra_names"] == "Array(String)"


def test_comments_are_the_contracts_words(warehouse: Warehouse) -> None:
    warehouse.make(contract(FIELDS, doc="An order's \\ end.\nIt's paid; `so`."))
    comments = warehouse.comments("v_order_completed_pii")
    assert comments["order_id"] == "The shop's own number."
    assert comments["weight"] == "Weight. Unit: kg."
    assert comments["address_country"] == "Country code."
    assert comments["email"] == "Where the receipt goes. PII: personal."
    assert all(comments[name] for name in ("tenant", "occurred_at", "extra"))
    assert (
        warehouse.server.scalar(
            "SELECT comment FROM system.tables WHERE database = currentDatabase() AND name = 'v_order_completed'"
        )
        == "An order's \\ end.\nIt's paid; `so`."
    )


def test_a_second_version_appends(warehouse: Warehouse) -> None:
    warehouse.make(contract(FIELDS))
    warehouse.add({"order_id": "A-1"})
    before = {view: list(warehouse.types(view).items()) for view in ("v_order_completed", "v_order_completed_pii")}
    added: list[dict[str, Any]] = [
        {"name": "coupon", "type": "string", "default": "none", "pii": "none"},
        {"name": "phone", "type": ["null", "string"], "default": None, "pii": "personal"},
    ]
    warehouse.make(contract(FIELDS), contract([added[0], *FIELDS, added[1]]))
    warehouse.add({"order_id": "A-2", "coupon": "MAY", "phone": "1"}, version=2)
    new = {"v_order_completed": ["coupon"], "v_order_completed_pii": ["coupon", "phone"]}
    for view, columns in before.items():
        after = list(warehouse.types(view).items())
        assert after[: len(columns)] == columns
        assert [name for name, _ in after[len(columns) :]] == new[view]
    assert warehouse.column("order_id") == ["A-1", "A-2"]
    assert warehouse.column("coupon") == ["none", "MAY"]
    assert warehouse.column("phone") == [None, "1"]


def test_a_day_and_a_tenant_spare_reading_the_rest(warehouse: Warehouse) -> None:
    warehouse.make(contract(FIELDS))
    warehouse.add({"order_id": "A"})
    plan = warehouse.server.execute(
        "EXPLAIN indexes = 1 SELECT sum(quantity) FROM v_order_completed "
        "WHERE arrival_day = '2026-05-01' AND tenant = 't' AND occurred_at < '2026-05-01'"
    )
    for index in ("Partition", "PrimaryKey", "occurred_at_range"):
        assert index in plan, plan
