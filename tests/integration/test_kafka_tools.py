"""The real topics, read by Confluent's own client with nothing but our registry's address."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from core import kafka
from core.topics import Topics
from tests.schemas.registry_server import serving

pytestmark = pytest.mark.stack

_PAGE = (Path(__file__).parents[2] / "docs/registry.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture(scope="module")
def visitor(client: Any) -> str:
    """Who sent one event of each outcome."""
    name = f"v-{uuid.uuid4()}"
    good = {
        "event_id": f"{name}-good",
        "event_type": "page_view",
        "visitor_id": name,
        "session_id": "s1",
        "url": "https://shop.example/p/1",
        "properties": {"title": "Grüße 🙂"},
        "consent_state": "granted",
    }
    for body in (good, good, good | {"event_id": f"{name}-bad", "properties": {"status": "two hundred"}}):
        status, _ = client.send(body)
        assert status == 200
    client.settle()
    return name


def decoded(client: Any, registry: str, topic: str, *, of: bytes = b"") -> list[tuple[int, dict[str, Any]]]:
    """(partition, record) of all that is on a topic."""
    settings = client.stack.settings
    name = getattr(Topics.named(settings.topic_prefix), topic)
    reader = Consumer(kafka.reader(settings, name="tools"))
    reader.assign([TopicPartition(name, partition, 0) for partition in range(settings.partitions)])
    with SchemaRegistryClient({"url": registry}) as schemas:
        decode = AvroDeserializer(schemas)
        try:
            return [
                (message.partition(), decode(message.value(), SerializationContext(name, MessageField.VALUE)))
                for message in kafka.read_to_end(reader, partitions=settings.partitions)
                if of in (message.value() or b"")  # other tests put there what no client can read
            ]
        finally:
            reader.close()


def test_raw(client: Any, registry: str, visitor: str) -> None:
    payloads = [json.loads(record["payload"]) for _, record in decoded(client, registry, "raw", of=visitor.encode())]
    ids = [payload["event_id"] for payload in payloads if payload["visitor_id"] == visitor]
    assert ids == [f"{visitor}-good", f"{visitor}-good", f"{visitor}-bad"]


def test_curated(client: Any, registry: str, visitor: str) -> None:
    ours = [pair for pair in decoded(client, registry, "curated") if pair[1]["visitor_id"] == visitor]
    ((partition, row),) = ours
    assert (row["event_id"], row["raw_partition"]) == (f"{visitor}-good", partition)
    assert json.loads(row["properties"]) == {"title": "Grüße 🙂"}


def test_dead_letters(client: Any, registry: str, visitor: str) -> None:
    letters = [letter for _, letter in decoded(client, registry, "dead_letters") if visitor.encode() in letter["raw"]]
    (letter,) = letters
    assert letter["faults"][0]["path"] == "$.properties.status"


def test_outcomes(client: Any, registry: str, visitor: str) -> None:
    runs = [run for _, record in decoded(client, registry, "outcomes") for run in record["runs"]]
    assert {"curated", "duplicate", "dead_letter"} <= {run["outcome"] for run in runs}


def test_the_program_of_the_page(client: Any, registry: str, visitor: str, tmp_path: Path) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```$", _PAGE, re.MULTILINE | re.DOTALL)
    addresses = {"KAFKA": client.stack.settings.kafka_bootstrap, "REGISTRY": registry}
    for name, address in addresses.items():
        program, count = re.subn(rf'^{name} = ".*"$', f'{name} = "{address}"', program, flags=re.MULTILINE)
        assert count == 1
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert f"{visitor}-good https://shop.example/p/1" in done.stdout


def test_the_query_of_the_page(client: Any, registry: str, visitor: str, tmp_path: Path) -> None:
    """ClickHouse decodes a record as it lies on the topic, in an engine that knows nothing of us."""
    settings = client.stack.settings
    reader = Consumer(kafka.reader(settings, name="query"))
    name = Topics.named(settings.topic_prefix).curated
    reader.assign([TopicPartition(name, partition, 0) for partition in range(settings.partitions)])
    values = [message.value() for message in kafka.read_to_end(reader, partitions=settings.partitions)]
    reader.close()
    (tmp_path / "record.bin").write_bytes(next(value for value in values if visitor.encode() in value))
    (query,) = re.findall(r"^```sql\n(.*?)^```$", _PAGE, re.MULTILINE | re.DOTALL)
    query = query.replace("record.bin", str(tmp_path / "record.bin")).replace("http://127.0.0.1:8603", registry)
    program = f"import chdb; print(chdb.query({query!r}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert f'"{visitor}-good","{settings.bootstrap_tenant}"' in done.stdout
