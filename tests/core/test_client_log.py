"""Lines of Kafka clients: told once in a while, and counted."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from confluent_kafka import Producer

from core import kafka
from core.client_log import EVERY_S, ClientLog
from core.settings import Settings


def _fields(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(record)["sluice_fields"] for record in caplog.records if record.getMessage() == "kafka.client"]


def test_a_kind_of_a_client_is_told_once_in_a_while_with_the_number_left_out(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    client_log = ClientLog(clock=lambda: now)
    for second in range(100):
        now = float(second)
        client_log.log(logging.ERROR, "%s", "FAIL", "producer-1", f"line {second}")
    client_log.log(logging.CRITICAL, "%s", "FATAL", "producer-1", "fenced")
    every = int(EVERY_S)
    assert [(each["text"], each["left_out"]) for each in _fields(caplog)] == [
        ("line 0", 0),
        *((f"line {turn * every}", every - 1) for turn in (1, 2, 3)),
        ("fenced", 0),
    ]
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 4 + ["ERROR"]


def test_without_a_log_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    ClientLog().log(logging.ERROR, "%s", "FAIL", "producer-1", "away")
    assert (_fields(caplog), capfd.readouterr().err) == ([], "")


def test_a_client_that_cannot_reach_its_broker_writes_there(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    producer = Producer(kafka.producer(Settings(kafka_bootstrap="127.0.0.1:1")))
    for _ in range(50):
        producer.poll(0.1)
        if _fields(caplog):
            break
    (found, *_) = _fields(caplog)
    assert found["kind"] == "FAIL"
    assert "127.0.0.1:1" in found["text"]
    assert "FAIL" not in capfd.readouterr().err
