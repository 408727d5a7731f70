"""`sluice spool`, with collectors stopped: what lies there, whether it is sound, and its way to Kafka."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer, TopicPartition

from cli.main import cli as sluice
from collector.publisher import Record
from collector.spool.aside import SetAside
from collector.spool.folders import Folders
from collector.spool.log import SpoolLog
from core.clock import ManualClock
from core.settings import Settings
from core.topics import Topics
from tests.collector.conftest import MockCluster, cluster  # noqa: F401 (a fixture)
from tests.collector.spool.disks import FailingDisk
from tests.structure.imports import ROOT

PARTITIONS = 4  # of every topic of the mock broker


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path))
    return tmp_path / "spool"


def leave(root: Path, values: list[bytes], *, now_ms: int = 1_000) -> Path:
    """A folder as a collector leaves it that was killed."""
    held = Folders(root).create(now_ms=now_ms)
    log = SpoolLog(held.path, max_bytes=1 << 30, disk=FailingDisk(), segment_bytes=1 << 20)
    for start in range(0, len(values), 1_000):
        log.append([Record(b"demo|v", value) for value in values[start : start + 1_000]], now_ms=now_ms)
        log.commit()
    held.release()
    return held.path


def call(*words: str) -> tuple[int, Any]:
    result = CliRunner().invoke(sluice, ["spool", *words, "--json"], standalone_mode=False)
    assert result.exception is None, result.output
    return result.return_value or 0, json.loads(result.stdout)


def shown(*words: str) -> str:
    result = CliRunner().invoke(sluice, ["spool", *words], standalone_mode=False)
    assert result.exception is None, result.output
    return result.stdout


def in_kafka(bootstrap: str, topic: str, count: int) -> list[bytes]:
    """Values in the order of their partitions, repeats with them, once `count` different ones are found."""
    consumer: Any = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "log_level": 0})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    found: list[bytes] = []
    deadline = time.monotonic() + 20
    while len(set(found)) < count and time.monotonic() < deadline:
        found += [message.value() for message in consumer.consume(10_000, timeout=0.5)]
    consumer.close()
    return found


def test_nothing_is_there(root: Path) -> None:
    assert call("ls") == (0, {"root": str(root), "folders": [], "records": 0, "bytes": 0, "set_aside": 0})
    assert shown("ls") == f"nothing owed in {root}\n"
    assert call("verify")[1]["sound"] is True


def test_what_lies_where(root: Path) -> None:
    orphan = leave(root, [b"1", b"2", b"3"])
    live = Folders(root).create(now_ms=5_000)
    aside = SetAside(root, clock=ManualClock(), disk=FailingDisk())
    aside.keep(Record(b"k", b"large"), "too large for it")
    _, found = call("ls")
    assert (found["records"], found["set_aside"]) == (3, 1)
    mine, theirs, kept = found["folders"]
    assert (mine["folder"], mine["kind"], mine["pid"], mine["records"]) == (orphan.name, "orphan", 0, 3)
    assert mine["oldest_ms"] == 1_000
    assert mine["bytes"] == sum(path.stat().st_size for path in orphan.glob("*.spool"))
    assert (theirs["folder"], theirs["kind"], theirs["pid"]) == (live.path.name, "live", os.getpid())
    assert (kept["kind"], kept["records"], kept["reasons"]) == ("set_aside", 1, {"too large for it": 1})
    text = shown("ls")
    assert orphan.name in text
    assert text.endswith(f"3 records owed to Kafka in {root}; 1 set aside\n")
    aside.close()
    live.release(remove=True)


def test_damage_is_found_and_nothing_is_changed(root: Path) -> None:
    folder = leave(root, [b"value %d" % number for number in range(100)])
    assert call("verify")[0] == 0
    [file] = folder.glob("*.spool")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data[:-3])
    before = file.read_bytes()
    code, found = call("verify")
    assert (code, found["sound"]) == (1, False)
    [report] = found["folders"]
    assert (report["records"], report["damaged"]) == (98, 1)
    assert report["torn_bytes"] > 0
    assert "1 damaged places" in shown("verify")
    assert file.read_bytes() == before


def test_verify_reads_what_is_drained_too(root: Path) -> None:
    folder = leave(root, [b"%d" % number for number in range(10)])
    log = SpoolLog(folder, max_bytes=0, disk=FailingDisk())
    batch = log.read(4)
    assert batch is not None
    log.acknowledge(batch)
    assert call("ls")[1]["records"] == 6
    assert call("verify")[1]["records"] == 10


def run(settings: Settings, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "cli", "spool", *words],
        cwd=ROOT,
        env=os.environ | settings.to_env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_drain_and_ctrl_c_at_any_time(root: Path, cluster: MockCluster) -> None:  # noqa: F811
    """Stopped twice on the way: everything arrives, and the folders of the living are left alone."""
    settings = Settings(state_dir=root.parent, kafka_bootstrap=cluster.bootstrap)
    cluster.create_topics(settings)
    values = [b"%d" % number for number in range(30_000)]
    first = leave(root, values[:15_000], now_ms=1_000)
    leave(root, values[15_000:], now_ms=2_000)
    live = Folders(root).create(now_ms=3_000)
    for _ in range(2):
        process = run(settings, "drain", "--rate", "2000")
        time.sleep(3.5)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 130
    process = run(settings, "drain", "--rate", "1000000", "--json")
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    done = json.loads(out)
    assert done["in_use"] == 1
    assert 0 < done["sent"] <= 30_000
    found = in_kafka(cluster.bootstrap, Topics.named("sluice.").raw, 30_000)
    assert set(found) == set(values)
    once = list(dict.fromkeys(found))
    assert once == values, "one key: what arrives first arrives in order"
    assert not first.exists()
    assert call("ls")[1]["records"] == 0
    live.release(remove=True)


def test_without_kafka_nothing_is_lost(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import cli.spool.draining
    import collector.kafka
    from core.errors import UnavailableError

    monkeypatch.setattr(cli.spool.draining, "_PAUSE_S", 0.0)
    monkeypatch.setattr(collector.kafka, "LOOK_TIMEOUT_S", 0.2)
    monkeypatch.setattr(collector.kafka, "FLUSH_TIMEOUT_S", 0.1)
    monkeypatch.setenv("SLUICE_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("SLUICE_COLLECTOR_ACK_TIMEOUT_MS", "100")
    leave(root, [b"1", b"2"])
    result = CliRunner().invoke(sluice, ["spool", "drain"], standalone_mode=False)
    assert isinstance(result.exception, UnavailableError)
    assert "Kafka does not answer" in result.exception.message
    assert call("ls")[1]["records"] == 2


def test_what_was_set_aside_can_be_tried_again(root: Path, cluster: MockCluster) -> None:  # noqa: F811
    settings = Settings(state_dir=root.parent, kafka_bootstrap=cluster.bootstrap)
    cluster.create_topics(settings)
    aside = SetAside(root, clock=ManualClock(), disk=FailingDisk())
    aside.keep(Record(b"k", b"once too large"), "reason")
    aside.close()
    leave(root, [b"other"])
    out, _ = run(settings, "drain", "--set-aside").communicate(timeout=60)
    assert out == b"1 records sent to Kafka\n"
    assert in_kafka(cluster.bootstrap, Topics.named("sluice.").raw, 1) == [b"once too large"]
    found = call("ls")[1]
    assert (found["records"], found["set_aside"]) == (1, 0)
