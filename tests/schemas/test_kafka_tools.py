"""Confluent's own client, unchanged, against our registry and records that our own encoders wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

from schemas import envelope, framing
from schemas.contracts import bundled_contracts
from schemas.registry import bundled, registry_at
from streams.batch import process
from streams.records import DeadLetter, Outcome, decode_dead_letter, decode_outcome, encode_dead_letter, encode_outcome
from streams.window import DedupeWindow
from tests.infra.children import eventually
from tests.schemas.folders import BOUGHT, release, shop
from tests.schemas.registry_server import serving
from tests.streams.raw_events import ARRIVAL_MS, raw_value, record


@pytest.fixture(scope="module")
def registry() -> Iterator[SchemaRegistryClient]:
    with serving() as url, SchemaRegistryClient({"url": url}) as client:
        yield client


def on(topic: str) -> SerializationContext:
    return SerializationContext(f"sluice.{topic}", MessageField.VALUE)


def as_guid(value: bytes) -> bytes:
    """The record in the second form of the framing."""
    schema_id, at = framing.split(value)
    assert isinstance(schema_id, int)
    schema = bundled().by_id(schema_id)
    assert schema is not None
    return b"\x01" + schema.guid.bytes + value[at:]


def outcome_of(*values: bytes) -> tuple[list[bytes], list[DeadLetter], Outcome]:
    window = DedupeWindow(max_ids=10, max_age_ms=10_000)
    records = [record(offset, value) for offset, value in enumerate(values)]
    result = process(3, records, window=window, contracts=bundled_contracts())
    assert result.outcome is not None
    return [each.value for each in result.curated], result.dead_letters, result.outcome


@pytest.fixture(params=["id", "GUID"])
def framed(request: pytest.FixtureRequest) -> Any:
    return (lambda value: value) if request.param == "id" else as_guid


def test_a_curated_record(registry: SchemaRegistryClient, framed: Any) -> None:
    (value,), _, _ = outcome_of(raw_value(properties={"title": "Schön 🙂"}))
    read = AvroDeserializer(registry)(framed(value), on("curated"))
    assert (read["event_id"], read["tenant"], read["event"], read["raw_partition"]) == ("e-1", "demo", "page_view", 3)
    assert json.loads(read["properties"]) == {"title": "Schön 🙂"}
    assert read["arrival_at"] == datetime.fromtimestamp(ARRIVAL_MS / 1000, UTC)


def test_a_dead_letter(registry: SchemaRegistryClient, framed: Any) -> None:
    raw = raw_value(visitor_id=7)
    _, (letter,), _ = outcome_of(raw)
    read = AvroDeserializer(registry)(framed(encode_dead_letter(letter)), on("dead_letters"))
    assert read["raw"] == raw
    assert read["faults"][0]["path"] == letter.faults[0].path


def test_an_outcome(registry: SchemaRegistryClient, framed: Any) -> None:
    _, _, outcome = outcome_of(raw_value(), raw_value(), b"?")
    read = AvroDeserializer(registry)(framed(encode_outcome(outcome)), on("outcomes"))
    assert [run["outcome"] for run in read["runs"]] == ["curated", "duplicate", "dead_letter"]
    assert len(read["ids"]) == 16


def test_a_raw_record(registry: SchemaRegistryClient, framed: Any) -> None:
    value = raw_value()
    read = AvroDeserializer(registry)(framed(value), on("raw"))
    assert json.loads(read["payload"])["event_id"] == "e-1"
    assert read["tenant"] == "demo"


def test_both_forms_are_read_by_us_too() -> None:
    raw = raw_value()
    assert envelope.decode(as_guid(raw)) == envelope.decode(raw)
    (curated,), _, outcome = outcome_of(as_guid(raw))
    _, (letter,), _ = outcome_of(raw_value(visitor_id=7))
    assert decode_outcome(as_guid(encode_outcome(outcome))) == outcome
    assert decode_dead_letter(as_guid(encode_dead_letter(letter))) == letter
    assert framing.opened(as_guid(curated), "event") == (framing.opened(curated, "event")[0], 17)


def test_the_newest_version_reads_the_oldest_record(registry: SchemaRegistryClient) -> None:
    """`use.latest.version` resolves what was written with version 1 to the newest."""
    first = AvroSerializer(registry, schema_str=registry.get_version("sluice.curated-value", 1).schema.schema_str)
    row = {"raw_partition": 1, "raw_offset": 2, "arrival_at": ARRIVAL_MS, "received_at": 3, "occurred_at": 4}
    texts = {field["name"]: "x" for field in bundled().get("event", 1).source["fields"] if field["name"] not in row}
    value = first(row | texts | {"version": 1}, on("curated"))
    assert framing.opened(value, "event")[0].version == 1
    newest = AvroDeserializer(registry, conf={"use.latest.version": True})(value, on("curated"))
    assert set(newest) == {field["name"] for field in bundled().latest("event").source["fields"]}


def test_a_producer_with_auto_register_gets_the_released_id(registry: SchemaRegistryClient) -> None:
    """And writes what we would have written."""
    source = bundled().latest("outcome").source
    _, _, outcome = outcome_of(raw_value())
    read = AvroDeserializer(registry)(encode_outcome(outcome), on("outcomes"))
    serializer = AvroSerializer(registry, schema_str=json.dumps(source), conf={"auto.register.schemas": True})
    assert serializer(read, on("outcomes")) == encode_outcome(outcome)


def test_a_producer_cannot_register_what_was_not_released(registry: SchemaRegistryClient) -> None:
    schema = Schema(json.dumps(bundled().latest("outcome").source | {"name": "Other"}), "AVRO")
    with pytest.raises(SchemaRegistryError, match="sluice schemas release") as refused:
        registry.register_schema("sluice.outcomes-value", schema)
    assert refused.value.error_code == 42205


def test_what_the_client_asks_a_registry(registry: SchemaRegistryClient) -> None:
    event = bundled().latest("event")
    latest = registry.get_latest_version("sluice.curated-value")
    assert (latest.version, latest.schema_id, latest.guid) == (event.version, event.id, str(event.guid))
    assert registry.get_schema_by_guid(str(event.guid)).schema_str == latest.schema.schema_str
    assert {"event", "sluice.raw-value"} <= set(registry.get_subjects())
    assert registry.get_versions("event") == bundled().versions("event")
    assert registry.get_subjects_by_schema_id(event.id) == ["event", "sluice.curated-value"]
    assert [each.subject for each in registry.get_schema_versions(event.id)] == ["event", "sluice.curated-value"]
    assert registry.lookup_schema("event", latest.schema).schema_id == event.id
    assert registry.test_compatibility("event", latest.schema)
    assert registry.test_compatibility_all_versions("event", latest.schema)
    assert registry.get_compatibility("event") == "FULL_TRANSITIVE"
    assert registry.get_config().compatibility_level == "FULL_TRANSITIVE"
    assert registry.get_mode("event") == "READONLY"
    assert registry.get_schema_types() == ["AVRO"]
    assert registry.get_contexts() == ["."]
    with pytest.raises(SchemaRegistryError, match="Schema 99 not found"):
        registry.get_schema(99)
    with pytest.raises(SchemaRegistryError, match="read only"):
        registry.delete_subject("event")


def test_every_schema_of_ours_is_one_to_the_client(registry: SchemaRegistryClient) -> None:
    """Also where it refers to types of other schemas."""
    for schema in bundled().schemas():
        found = registry.get_version(schema.subject, schema.version)
        AvroSerializer(registry, schema_str=found.schema, conf={"auto.register.schemas": False})


def test_references_and_a_release_while_it_runs(tmp_path: Path) -> None:
    shop(tmp_path)
    with serving("--folder", str(tmp_path)) as url, SchemaRegistryClient({"url": url}) as registry:
        refers = [SchemaReference(**BOUGHT["references"][0])]
        conf = {"subject.name.strategy": lambda _context, _record: "bought"}
        serialize = AvroSerializer(registry, schema_str=Schema(json.dumps(BOUGHT), "AVRO", refers), conf=conf)
        row = {"amount": Decimal("1.50"), "leaflet": {"source": "post"}, "note": "n"}
        value = serialize(row, on("any"))
        assert framing.split(value)[0] == registry_at(tmp_path).get("bought", 1).id
        assert AvroDeserializer(registry)(value) == row
        assert registry.get_referenced_by("leaflet_context", 1) == [registry.get_version("bought", 1).schema_id]
        second = release(tmp_path, "bought", 2, BOUGHT | {"doc": "2"})
        assert eventually(lambda: registry.get_versions("bought") == [1, 2])
        assert registry.get_version("bought", 2).schema_id == second == registry_at(tmp_path).get("bought", 2).id
