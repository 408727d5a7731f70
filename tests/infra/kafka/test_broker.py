"""A real broker: what a user's data lives through."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, IsolationLevel, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from core.errors import PortInUseError
from core.settings import Settings
from infra import documents, pids, ports
from infra.child_events import ChildState
from infra.kafka import broker, storage
from infra.process import Child
from infra.supervisor import Supervisor
from tests.infra.children import eventually

pytestmark = pytest.mark.stack
EVENTS = 1000

DOOMED_PARENT = """
import sys, time
from pathlib import Path
from core.settings import Settings
from infra.kafka import broker
from infra.process import Child
child = Child(broker.prepare(Settings(state_dir=Path(sys.argv[1]))).spec)
child.start()
child.wait_ready()
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path / "a state ü")


@pytest.fixture
def started() -> Iterator[list[Child]]:
    children: list[Child] = []
    yield children
    for child in children:
        child.kill()
        child.stop()


def start(settings: Settings, started: list[Child]) -> tuple[broker.Broker, Child]:
    prepared = broker.prepare(settings)
    child = Child(prepared.spec)
    started.append(child)
    child.start()
    child.wait_ready()
    return prepared, child


def produce(bootstrap: str, events: range, *, topic: str = "t") -> None:
    failed: list[object] = []

    def note(error: object, _message: object) -> None:
        if error is not None:
            failed.append(error)

    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True})
    for event in events:
        producer.produce(topic, str(event).encode(), partition=event % 4, on_delivery=note)
    assert producer.flush(20) == 0
    assert not failed


def consume(bootstrap: str, *, topic: str = "t") -> list[int]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "g", "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(4)])
    values, ended = [], 0
    deadline = time.monotonic() + 20
    while ended < 4 and time.monotonic() < deadline:
        for message in consumer.consume(1000, timeout=0.2):
            if message.error():
                ended += 1
            else:
                values.append(int(message.value()))
    consumer.close()
    return sorted(values)


def make_topic(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic("t", num_partitions=4, replication_factor=1)])["t"].result(20)


def test_data_lives_through_a_clean_stop_and_a_kill(settings: Settings, started: list[Child]) -> None:
    first, child = start(settings, started)
    make_topic(first.bootstrap)
    produce(first.bootstrap, range(EVENTS))
    assert consume(first.bootstrap) == list(range(EVENTS))
    child.stop()
    assert child.reason() == "killed by SIGTERM"  # how the JVM reports a graceful end
    assert "shut down completed" in first.spec.log_path.read_text()

    second, child = start(settings, started)
    assert (second.bootstrap, second.cluster_id) == (first.bootstrap, first.cluster_id)
    assert consume(first.bootstrap) == list(range(EVENTS))
    produce(first.bootstrap, range(EVENTS, 2 * EVENTS))
    child.kill()
    assert eventually(lambda: child.poll() is not None)

    began = time.monotonic()
    start(settings, started)
    assert time.monotonic() - began < 10
    assert consume(first.bootstrap) == list(range(2 * EVENTS))


def test_a_supervised_broker_returns_on_its_port_after_a_kill(settings: Settings) -> None:
    prepared = broker.prepare(settings)
    with Supervisor([[prepared.spec]]) as supervisor:
        make_topic(prepared.bootstrap)
        produce(prepared.bootstrap, range(EVENTS))
        supervisor.kill("kafka")
        assert eventually(lambda: supervisor.status()[0].state is not ChildState.READY)
        assert eventually(lambda: supervisor.status()[0].state is ChildState.READY, within_s=20)
        assert consume(prepared.bootstrap) == list(range(EVENTS))
        assert supervisor.status()[0].restarts == 1


def test_a_successor_waits_for_a_broker_whose_parent_was_killed(settings: Settings, started: list[Child]) -> None:
    argv = [sys.executable, "-c", DOOMED_PARENT, str(settings.state_dir)]
    parent = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
    assert parent.stdout is not None
    orphan = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    start(settings, started)
    assert not pids.alive(orphan)


def test_a_topic_that_nobody_declared_does_not_come_to_life(settings: Settings, started: list[Child]) -> None:
    prepared, child = start(settings, started)
    admin = AdminClient({"bootstrap.servers": prepared.bootstrap})
    admin.list_topics("mistyped", timeout=5)
    assert "mistyped" not in admin.list_topics(timeout=5).topics
    # Another cluster's broker on our port is not ours, and a port where nobody answers is not ready.
    port = int(prepared.bootstrap.rpartition(":")[2])
    assert broker.serves(port, cluster_id=prepared.cluster_id)
    assert not broker.serves(port, cluster_id="another")
    child.stop()
    assert not broker.serves(port, cluster_id=prepared.cluster_id)


def test_a_controller_port_that_was_taken_meanwhile_moves(settings: Settings, started: list[Child]) -> None:
    _, child = start(settings, started)
    child.stop()
    document = settings.state_dir / "kafka" / "ports.json"
    before = documents.read_json(document, broker.Ports)
    assert before is not None
    with socket.create_server(("127.0.0.1", before.controller)):
        start(settings, started)
    after = documents.read_json(document, broker.Ports)
    assert after is not None
    assert after.broker == before.broker
    assert after.controller != before.controller


def test_a_port_in_use_names_its_holder(settings: Settings) -> None:
    (port,) = ports.pick()
    chosen = Settings(state_dir=settings.state_dir, kafka_port=port)
    assert broker.prepare(chosen).bootstrap == f"127.0.0.1:{port}"
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(PortInUseError, match=rf"port {port}, .* in use by pid {os.getpid()} ") as caught:
            broker.prepare(chosen)
        with pytest.raises(PortInUseError):  # the port that was kept is not silently given up either
            broker.prepare(settings)
    assert "SLUICE_KAFKA_PORT" in caught.value.hint


def test_a_format_that_was_killed_does_not_block_the_next(settings: Settings) -> None:
    data = settings.state_dir / "kafka" / "data.formatting" / "__cluster_metadata-0"
    data.mkdir(parents=True)
    (data / "half.log").write_bytes(b"\0")
    prepared = broker.prepare(settings)
    assert storage.cluster_id(settings.state_dir / "kafka" / "data") == prepared.cluster_id
    assert not data.parent.exists()


DOOMED_TRANSACTION = """
import sys, time
from confluent_kafka import Consumer, Producer, TopicPartition
config = {"bootstrap.servers": sys.argv[1]}
producer = Producer(config | {"transactional.id": sys.argv[2], "transaction.timeout.ms": 1000})
producer.init_transactions(20)
group = Consumer(config | {"group.id": "g"}).consumer_group_metadata()
producer.begin_transaction()
for partition in range(4):
    producer.produce("t", b"x", partition=partition)
producer.poll(0.5)
producer.send_offsets_to_transaction([TopicPartition("t", 0, 5)], group, 20)
print("open", flush=True)
time.sleep(60)
"""


def is_stable(bootstrap: str) -> bool:
    """Whether no transaction holds a record or an offset."""
    config = {"bootstrap.servers": bootstrap, "group.id": "g", "isolation.level": "read_committed"}
    admin = AdminClient({"bootstrap.servers": bootstrap})
    places = {TopicPartition("t", partition): OffsetSpec.latest() for partition in range(4)}
    ends = [
        [each.result(20).offset for each in admin.list_offsets(places, isolation_level=isolation).values()]
        for isolation in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)
    ]
    member = Consumer(config)
    try:
        member.committed([TopicPartition("t", 0)], timeout=1.0)
    except KafkaException:
        return False
    finally:
        member.close()
    return ends[0] == ends[1]


def test_a_transaction_of_when_all_was_killed_ends(settings: Settings, started: list[Child]) -> None:
    prepared, child = start(settings, started)
    make_topic(prepared.bootstrap)
    for name in ("first", "second"):
        command = [sys.executable, "-c", DOOMED_TRANSACTION, prepared.bootstrap, name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as producer:
            assert producer.stdout is not None
            assert producer.stdout.readline() == b"open\n"
            assert not is_stable(prepared.bootstrap)
            child.kill()
            producer.kill()
        assert eventually(lambda: child.poll() is not None)  # noqa: B023 (asked at once)
        time.sleep(1.0)  # it is overdue when the broker comes back
        _, child = start(settings, started)
        assert eventually(lambda: is_stable(prepared.bootstrap), within_s=20)


def test_one_that_was_killed_while_it_started_starts(settings: Settings, started: list[Child]) -> None:
    prepared = broker.prepare(settings)
    used = settings.state_dir / "kafka" / "data" / "recovery-point-offset-checkpoint"
    for _ in range(2):
        child = Child(prepared.spec)
        started.append(child)
        child.start()
        assert eventually(used.exists, within_s=60)
        child.kill()
        assert eventually(lambda: child.poll() is not None)  # noqa: B023 (asked at once)
    start(settings, started)
    assert "could not be fenced" not in prepared.spec.log_path.read_text()
