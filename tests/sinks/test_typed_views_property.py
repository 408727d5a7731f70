"""Any contract, any events that it allows: each value comes out of the views as itself. On a real engine.

The reference reads the schema's JSON in its own way: value in, what the engine should say out.
"""

from __future__ import annotations

import base64
import dataclasses
import itertools
import json
import re
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.settings import Settings
from schemas.codegen.views import view_sql
from schemas.registry import BUNDLED, Registry
from sinks import migrate
from sinks.clickhouse import ClickHouse

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
MISSING = object()
_numbers = itertools.count()


@dataclasses.dataclass(frozen=True)
class Kind:
    """A scalar type: its Avro form, JSON values that clients may send, and what the engine then says."""

    avro: Any
    zero: Any
    values: st.SearchStrategy[tuple[Any, Any]]
    defaults: bool = True  # whether a value is also the default's form in a schema


def same(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    return values.map(lambda v: (v, v))


def clock(text: datetime, digits: int) -> str:
    return f"{text:%Y-%m-%d %H:%M:%S}.{text.microsecond:06}"[: 20 + digits]


def times(unit: str, digits: int) -> Kind:
    step = timedelta(milliseconds=1) if digits == 3 else timedelta(microseconds=1)

    def forms(count: int, offset_minutes: int) -> st.SearchStrategy[tuple[Any, str]]:
        moment = EPOCH + count * step
        text = moment.astimezone(timezone(timedelta(minutes=offset_minutes))).isoformat()
        return st.sampled_from([(form, clock(moment, digits)) for form in (count, text, text.replace("+00:00", "Z"))])

    years = timedelta(days=365 * 290) // step
    drawn = st.tuples(st.integers(-years // 5, years), st.integers(-14 * 60, 14 * 60))
    avro = {"type": "long", "logicalType": f"timestamp-{unit}"}
    return Kind(avro, clock(EPOCH, digits), drawn.flatmap(lambda each: forms(*each)), defaults=False)


def digits(value: int, scale: int) -> str:
    sign, text = "-" if value < 0 else "", str(abs(value)).rjust(scale + 1, "0")
    return f"{sign}{text[:-scale]}.{text[-scale:]}"


def shortest(text: str) -> str:
    return re.sub(r"\.?0+$", "", text) if "." in text else text


def decimals(precision: int, scale: int) -> Kind:
    def forms(value: int) -> st.SearchStrategy[tuple[Any, str]]:
        text = digits(value, scale)
        exact = [float(text)] if len(str(abs(value))) <= 15 else []
        return st.sampled_from([(form, shortest(text)) for form in [text, *exact]])

    most = 10**precision - 1
    avro = {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
    return Kind(avro, "0", st.integers(-most, most).flatmap(forms), defaults=False)


DAYS = st.dates(date(1900, 1, 1), date(2290, 1, 1))
# Between these the engine writes all digits of a whole number, rounded: read as an integer, it is another one.
DOUBLES = st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: abs(x) < 2**53 or abs(x) > 1e22)
KINDS = {
    "int": Kind("int", 0, same(st.integers(-(2**31), 2**31 - 1))),
    "long": Kind("long", 0, same(st.integers(-(2**63), 2**63 - 1))),
    "double": Kind("double", 0, same(DOUBLES)),
    "boolean": Kind("boolean", False, same(st.booleans())),
    "string": Kind("string", "", same(TEXT)),
    "uuid": Kind({"type": "string", "logicalType": "uuid"}, str(uuid.UUID(int=0)), same(st.uuids().map(str))),
    "bytes": Kind("bytes", "", same(st.binary(max_size=5).map(lambda b: base64.b64encode(b).decode())), defaults=False),
    "date": Kind(
        {"type": "int", "logicalType": "date"},
        "1970-01-01",
        st.one_of(DAYS.map(lambda d: (str(d), str(d))), DAYS.map(lambda d: ((d - EPOCH.date()).days, str(d)))),
        defaults=False,
    ),
    "millis": times("millis", 3),
    "micros": times("micros", 6),
    "decimal": decimals(18, 2),
    "large": decimals(38, 10),
}
SCALARS = st.sampled_from(sorted(KINDS))


@dataclasses.dataclass(frozen=True)
class Shape:
    """`kind` is a scalar's name, or array, map, record; `fields` are (name, shape, default)."""

    kind: str
    nullable: bool = False
    inner: Any = None  # a Shape of an array or a map
    fields: tuple[tuple[str, Shape, Any], ...] = ()

    def avro(self) -> Any:
        if self.kind in KINDS:
            own = KINDS[self.kind].avro
        elif self.kind == "array":
            own = {"type": "array", "items": self.inner.avro()}
        elif self.kind == "map":
            own = {"type": "map", "values": self.inner.avro()}
        else:
            name = f"R{next(_numbers)}"
            own = {"type": "record", "name": name, "fields": [field(*each) for each in self.fields]}
        if not self.nullable:
            return own
        first_is_null = not (self.kind in KINDS and KINDS[self.kind].defaults)
        return ["null", own] if first_is_null else [own, "null"]


def field(name: str, shape: Shape, default: Any) -> dict[str, Any]:
    out = {"name": name, "type": shape.avro(), "pii": "personal", "doc": f"It's {name} \\ `x`"}
    if default is None and shape.nullable and isinstance(out["type"], list) and out["type"][0] != "null":
        out["type"].reverse()
    return out if default is MISSING else out | {"default": default}


def defaults(shape: Shape) -> st.SearchStrategy[Any]:
    options = [st.just(MISSING)]
    if shape.nullable:
        options.append(st.none())
    if shape.kind in KINDS and KINDS[shape.kind].defaults:
        options.append(KINDS[shape.kind].values.map(lambda v: v[0]))
    if shape.kind in ("array", "map"):
        options.append(st.just([] if shape.kind == "array" else {}))
    return st.one_of(*options)


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,3}", fullmatch=True) | st.sampled_from(
    ["events", "properties", "extra", "event", "tenant", "_item0", "path", "select", "version", "name"]
)


def record_of(shapes: st.SearchStrategy[Shape], *, most: int) -> st.SearchStrategy[tuple[tuple[str, Shape, Any], ...]]:
    fields = shapes.flatmap(lambda shape: st.tuples(NAMES, st.just(shape), defaults(shape)))
    return st.lists(fields, min_size=1, max_size=most, unique_by=lambda each: each[0]).map(tuple)


def containers(inner: st.SearchStrategy[Shape]) -> st.SearchStrategy[Shape]:
    return st.one_of(
        st.builds(Shape, st.sampled_from(["array", "map"]), st.booleans(), inner),
        st.builds(Shape, st.just("record"), st.booleans(), st.none(), record_of(inner, most=3)),
    )


SHAPES = st.recursive(st.builds(Shape, SCALARS, st.booleans()), containers, max_leaves=4)


def values(shape: Shape) -> st.SearchStrategy[Any]:
    """JSON values that a client may send."""
    if shape.kind in KINDS:
        own: st.SearchStrategy[Any] = KINDS[shape.kind].values
    elif shape.kind == "array":
        own = st.lists(values(shape.inner), max_size=3)
    elif shape.kind == "map":
        own = st.dictionaries(TEXT, values(shape.inner), max_size=3)
    else:
        own = objects(shape.fields)
    return st.one_of(own, st.none()) if shape.nullable else own


def objects(fields: tuple[tuple[str, Shape, Any], ...]) -> st.SearchStrategy[dict[str, Any]]:
    required = {name: values(shape) for name, shape, default in fields if default is MISSING}
    optional = {name: values(shape) for name, shape, default in fields if default is not MISSING}
    return st.fixed_dictionaries(required, optional=optional)


def sent(shape: Shape, value: Any) -> Any:
    """The JSON of a drawn value: of its pairs (sent, shown) the first."""
    if value is None:
        return None
    if shape.kind in KINDS:
        return value[0]
    if shape.kind == "array":
        return [sent(shape.inner, each) for each in value]
    if shape.kind == "map":
        return {key: sent(shape.inner, each) for key, each in value.items()}
    return {name: sent(inner, value[name]) for name, inner, _ in shape.fields if name in value}


def leaves(shape: Shape) -> list[tuple[str, ...]]:
    if shape.kind in KINDS:
        return [()]
    if shape.kind == "record":
        return [(name, *rest) for name, inner, _ in shape.fields for rest in leaves(inner)]
    return leaves(shape.inner)


def shown(shape: Shape, value: Any, leaf: tuple[str, ...], *, optional: bool = False) -> Any:
    """What the column of a leaf holds for a drawn value; MISSING for a field that is not there."""
    optional = optional or shape.nullable
    if shape.kind in KINDS:
        if value is MISSING or value is None:
            return None if optional else KINDS[shape.kind].zero
        return value[1]
    if shape.kind == "array":
        return [] if value in (None, MISSING) else [shown(shape.inner, each, leaf) for each in value]
    if shape.kind == "map":
        return {} if value in (None, MISSING) else {key: shown(shape.inner, v, leaf) for key, v in value.items()}
    name, *rest = leaf
    ((inner, default),) = [(inner, default) for other, inner, default in shape.fields if other == name]
    if value is None:
        return nothing(inner, tuple(rest))
    under = MISSING if value is MISSING else value.get(name, MISSING)
    if under is MISSING and default is not MISSING:
        under = default if default in (None, [], {}) and not isinstance(default, (int, str)) else (default, default)
    return shown(inner, under, tuple(rest), optional=optional)


def nothing(shape: Shape, leaf: tuple[str, ...]) -> Any:
    """What the column of a leaf holds where a record above it is null."""
    if shape.kind == "record":
        ((inner, rest),) = [(inner, leaf[1:]) for name, inner, _ in shape.fields if name == leaf[0]]
        return nothing(inner, rest)
    return {"array": [], "map": {}}.get(shape.kind)


@st.composite
def plans(draw: Any) -> tuple[Shape, list[Any]]:
    shape = Shape("record", fields=draw(record_of(SHAPES, most=5)))
    return shape, draw(st.lists(values(shape), min_size=1, max_size=3))


@pytest.fixture(scope="module")
def server(engine_settings: Settings) -> ClickHouse:
    ready = dataclasses.replace(engine_settings, clickhouse_database="any_views")
    migrate.apply(ready)
    return ClickHouse(ready)


def add(server: ClickHouse, event: str, events: list[Any], *, version: int = 1) -> None:
    rows = [
        {"tenant": "t", "event": event, "event_id": str(n), "version": version, "properties": json.dumps(each)}
        for n, each in enumerate(events)
    ]
    body = b"\n".join(map(msgspec.json.encode, rows))
    server.insert("INSERT INTO events_log FORMAT JSONEachRow", body, settings={})


def made_columns(server: ClickHouse, view: str) -> list[str]:
    names = [name for (name, *_) in server.rows(f"DESCRIBE TABLE {view}")]
    return names[names.index("extra") + 1 :]


@given(plans())
def test_what_was_sent_comes_out(server: ClickHouse, plan: tuple[Shape, list[Any]]) -> None:
    shape, drawn = plan
    schema = shape.avro() | {"namespace": "sluice.events", "kind": "event"}
    event = f"event_{next(_numbers)}"
    for statement in view_sql([schema], event):
        server.execute(statement)
    add(server, event, [sent(shape, value) for value in drawn])
    columns = made_columns(server, f"v_{event}_pii")
    assert len(columns) == len(leaves(shape))
    listed = ", ".join(f"`{name}`" for name in columns)
    rows = server.rows(
        f"SELECT {listed} FROM v_{event}_pii ORDER BY event_id "
        "SETTINGS output_format_json_quote_decimals = 1, output_format_json_named_tuples_as_objects = 1"
    )
    assert rows == [[shown(shape, value, leaf) for leaf in leaves(shape)] for value in drawn]
    for name in (f"v_{event}", f"v_{event}_pii"):
        server.execute(f"DROP VIEW {name}")


PLAN = Registry(BUNDLED, drafts=True)


@pytest.mark.parametrize("subject", PLAN.subjects("event"))
def test_the_examples_of_the_plan_can_be_read(server: ClickHouse, subject: str) -> None:
    schemas = [PLAN.get(subject, version) for version in PLAN.versions(subject)]
    for statement in view_sql([schema.resolved for schema in schemas], subject):
        server.execute(statement)
    for schema in schemas:
        add(server, subject, schema.source.get("examples", []), version=schema.version)
    assert server.execute(f"SELECT * FROM v_{subject} FORMAT JSONEachRow").count("\n") == sum(
        len(schema.source.get("examples", [])) for schema in schemas
    )
