"""The embedded Kafka: one KRaft node on the loopback interface, described as a child process.

`prepare` does everything up to the start; whoever runs the `ChildSpec` starts it, any number of times, on the same
ports and the same data. The caller holds the state folder's lock. Topics are `infra.topics`' business.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from core.errors import StateError
from core.log import get_logger
from core.settings import Settings
from infra import documents, ports, state
from infra.kafka import config, jars, jvm, storage
from infra.process import ChildSpec

log = get_logger(__name__)

_NAME = "kafka"
_START_BROKER = Path(__file__).with_name("start_broker.py")
# A few segments and their indexes; below that the first burst already fails.
_NEEDED_MIB = 200
# 1.4 s when nothing else runs; recovery of many segments after a kill, on a busy machine, takes longer.
_READY_TIMEOUT_S = 90.0
_STOP_GRACE_S = 20.0
_PROBE_TIMEOUT_S = 2.0
# A predecessor whose parent was killed is on its way out, and has the ports until it is.
_PREDECESSOR_TIMEOUT_S = 20.0
_POLL_S = 0.05


class Ports(msgspec.Struct, frozen=True):
    """ports.json: kept, so that clients find the broker again after a restart."""

    broker: int
    controller: int


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that is ready to be started."""

    bootstrap: str
    cluster_id: str
    spec: ChildSpec


def prepare(
    settings: Settings,
    *,
    cache_dir: Path | None = None,
    progress: Callable[[jars.Progress], None] | None = None,
    advertised_port: int = 0,
) -> Broker:
    """Jars, ports, configuration and a formatted storage below `<state_dir>/kafka`. Idempotent.

    Clients are told to come to `advertised_port`, where a proxy may listen; 0 is the broker's own port.

    Raises:
        UnavailableError: the jars are not cached and cannot be downloaded.
        PortInUseError: a port of ours is taken.
        StateError: the folder cannot be used.
        DiskFullError: hardly any room is left.
    """
    folder = settings.state_dir.absolute() / "kafka"
    work_dir = folder / "tmp"
    _make_folders(folder, work_dir)
    state.require_space(folder, mib=_NEEDED_MIB, purpose="Kafka")
    class_path = jars.ensure(
        cache_dir or jars.default_cache_dir(os.environ, fallback=folder / "jars"), progress=progress
    )
    properties, logging = folder / "server.properties", folder / "log4j2.properties"
    chosen = _ports(folder, settings.kafka_port, owner=str(properties))
    env = jvm.environment(os.environ)
    documents.write_text(logging, config.logging_properties())

    def java(main_class: str, *arguments: str, logging: Path = logging) -> tuple[str, ...]:
        heap_mib = settings.kafka_heap_mib
        return jvm.argv(class_path, main_class, *arguments, heap_mib=heap_mib, work_dir=work_dir, logging=logging)

    def write_properties(path: Path, data_dir: Path) -> None:
        text = config.server_properties(
            port=chosen.broker,
            advertised_port=advertised_port or chosen.broker,
            controller_port=chosen.controller,
            data_dir=data_dir,
        )
        documents.write_text(path, text)

    def format_command(data_dir: Path, cluster_id: str) -> tuple[str, ...]:
        format_properties = folder / "format.properties"
        write_properties(format_properties, data_dir)
        arguments = ("format", "--standalone", "--cluster-id", cluster_id, "--config", str(format_properties))
        return java("kafka.tools.StorageTool", *arguments)

    data_dir, fence = folder / "data", folder / "fence.properties"
    cluster_id = storage.ensure_formatted(data_dir, command=format_command, env=env)
    write_properties(properties, data_dir)
    documents.write_text(fence, config.fence_properties(controller_port=chosen.controller, data_dir=data_dir))
    fence_logging = folder / "fence.log4j2.properties"
    documents.write_text(fence_logging, config.fence_logging_properties())
    spec = ChildSpec(
        name=_NAME,
        argv=(
            *(sys.executable, "-IS", str(_START_BROKER), str(data_dir)),
            *(*java("kafka.Kafka", str(fence), logging=fence_logging), "--", *java("kafka.Kafka", str(properties))),
        ),
        env=env,
        log_path=settings.state_dir.absolute() / "logs" / f"{_NAME}.log",
        cwd=folder,
        ready=lambda: serves(chosen.broker, cluster_id=cluster_id),
        ready_timeout_s=_READY_TIMEOUT_S,
        stop_grace_s=_STOP_GRACE_S,
    )
    return Broker(bootstrap=f"{ports.LOOPBACK}:{chosen.broker}", cluster_id=cluster_id, spec=spec)


def serves(port: int, *, cluster_id: str) -> bool:
    """Whether the broker of this cluster, registered and unfenced, answers on `port`. Blocks for 2 s at most."""
    try:
        socket.create_connection((ports.LOOPBACK, port), timeout=_PROBE_TIMEOUT_S).close()
    except OSError:
        return False  # spares librdkafka's client and its threads while nothing listens
    client = AdminClient(
        {"bootstrap.servers": f"{ports.LOOPBACK}:{port}", "log_level": 0, "reconnect.backoff.max.ms": 100}
    )
    try:
        cluster = client.list_topics(timeout=_PROBE_TIMEOUT_S)
    except KafkaException:
        return False
    # A fenced broker is not listed, and another cluster's broker on our port has another id.
    return cluster.cluster_id == cluster_id and config.NODE_ID in cluster.brokers


def _make_folders(folder: Path, work_dir: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Killed brokers leave native libraries there.
        shutil.rmtree(work_dir, ignore_errors=True)
        work_dir.mkdir(exist_ok=True)
    except OSError as error:
        raise StateError(f"{folder} cannot be used: {error.strerror}") from error


def _ports(folder: Path, wanted: int, *, owner: str) -> Ports:
    """The ports of the last start, or new ones; free ones in any case."""
    document = folder / "ports.json"
    kept = documents.read_json(document, Ports)
    if kept is None:
        broker = wanted or ports.pick()[0]
        chosen = Ports(broker, ports.pick(avoid=frozenset({broker}))[0])
    elif wanted and wanted != kept.broker:
        chosen = Ports(wanted, kept.controller)
    else:
        chosen = kept
    _await_predecessor(chosen.broker, owner)
    ports.require_free(chosen.broker, purpose="the embedded Kafka", setting="SLUICE_KAFKA_PORT")
    _await_predecessor(chosen.controller, owner)
    if not ports.is_free(chosen.controller):
        # Nobody but the node itself knows this port, so it can move.
        chosen = Ports(chosen.broker, ports.pick(avoid=frozenset({chosen.broker}))[0])
    if chosen != kept:
        documents.write_json(document, chosen)
    return chosen


def _await_predecessor(port: int, owner: str) -> None:
    deadline = time.monotonic() + _PREDECESSOR_TIMEOUT_S
    while not ports.is_free(port) and time.monotonic() < deadline:
        found = ports.holder(port)
        if found is not None and owner not in found.command:
            return
        time.sleep(_POLL_S)
