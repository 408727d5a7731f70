"""The files the broker reads: server.properties and log4j2.properties, as text. Writes nothing itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

NODE_ID = 1
# Each costs the broker memory and start time; more buys nothing on one node.
_INTERNAL_PARTITIONS = 4

_FIXED = {
    "process.roles": "broker,controller",
    "node.id": NODE_ID,
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    # A topic that a client asks for by mistake must not come to life with the wrong number of partitions.
    "auto.create.topics.enable": "false",
    # On one node nobody is better off without the broker, and transactions that are being ended are forgotten when it
    # is fenced: a freeze or a busy machine must not do that. `start_broker.py` fences one that was killed.
    "broker.session.timeout.ms": 20_000,
    "broker.heartbeat.interval.ms": 500,
    # There is one node to keep the internal topics.
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": _INTERNAL_PARTITIONS,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": _INTERNAL_PARTITIONS,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "share.coordinator.state.topic.num.partitions": _INTERNAL_PARTITIONS,
    # The offsets of a sink carry its plan; after the default of a week without one they would be dropped.
    "offsets.retention.minutes": 525_600,
    "group.initial.rebalance.delay.ms": 0,
    # How often transactions of dead workers are looked for, on top of their own time-out; readers wait for it.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1_000,
    # By default retention acts up to 5 minutes late, which looks like a fault on a laptop.
    "log.retention.check.interval.ms": 30_000,
    # The default (128 MiB) is taken from the heap at start. This holds 600,000 keys a cleaning pass.
    "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
    "num.network.threads": 2,
    "num.io.threads": 4,
}

# The same node without its broker, to fence the one that was killed.
_CONTROLLER_ALONE = {
    "process.roles": "controller",
    "broker.session.timeout.ms": 100,
    "broker.heartbeat.interval.ms": 50,
}

# At INFO throughout, a start writes 2,000 lines of settings and wiring. What an operator asks about is kept: starts and
# stops, registration, recovery of logs, group and transaction coordination.
_INFO = {
    "server": "kafka.server.KafkaRaftServer",
    "broker": "kafka.server.BrokerServer",
    "registration": "org.apache.kafka.server.BrokerLifecycleManager",
    "logs": "org.apache.kafka.storage.internals.log.LogManager",
    "coordinators": "org.apache.kafka.coordinator",
}
# What `start_broker.py` reads.
_FENCE = {
    "org.apache.kafka.controller.ReplicationControlManager": "info",
    "org.apache.kafka.controller.QuorumController": "debug",
}
_LOGGING = """\
status = error
# The JVM is going down anyway, and the hook would lose the last lines.
shutdownHook = disable
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %m (%c)%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
"""


def server_properties(*, port: int, advertised_port: int, controller_port: int, data_dir: Path) -> str:
    broker, controller = f"127.0.0.1:{port}", f"127.0.0.1:{controller_port}"
    properties = _FIXED | {
        "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{advertised_port},CONTROLLER://{controller}",
        "controller.quorum.bootstrap.servers": controller,
        "log.dirs": data_dir,
    }
    return _text(properties)


def fence_properties(*, controller_port: int, data_dir: Path) -> str:
    controller = f"127.0.0.1:{controller_port}"
    properties = (
        _FIXED
        | _CONTROLLER_ALONE
        | {
            "listeners": f"CONTROLLER://{controller}",
            "controller.quorum.bootstrap.servers": controller,
            "log.dirs": data_dir,
        }
    )
    del properties["inter.broker.listener.name"]
    return _text(properties)


def logging_properties() -> str:
    chosen = (f"logger.{key}.name = {name}\nlogger.{key}.level = info\n" for key, name in _INFO.items())
    return _LOGGING + "".join(chosen)


def fence_logging_properties() -> str:
    lines = (f"logger.{n}.name = {name}\nlogger.{n}.level = {_FENCE[name]}\n" for n, name in enumerate(_FENCE))
    return _LOGGING + "".join(lines)


def _text(properties: Mapping[str, object]) -> str:
    return "".join(f"{name}={_escaped(value)}\n" for name, value in properties.items())


def _escaped(value: object) -> str:
    """Java reads properties as Latin-1 with escapes, and a path may hold anything."""
    text = str(value).replace("\\", "\\\\")
    return "".join(c if " " < c < "\x7f" else "".join(f"\\u{unit:04x}" for unit in _utf16(c)) for c in text)


def _utf16(character: str) -> list[int]:
    data = character.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]
