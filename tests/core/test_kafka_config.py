"""Configuration of Kafka clients: what the guarantees rest on is there, and what a cluster needs gets through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from core import kafka
from core.errors import ConfigError, UnavailableError
from core.settings import Settings
from core.topics import MAX_MESSAGE_BYTES

LOCAL = Settings(kafka_bootstrap="127.0.0.1:1")
SECURE = replace(
    LOCAL,
    kafka_security_protocol="SASL_SSL",
    kafka_sasl_mechanism="SCRAM-SHA-512",
    kafka_sasl_username="ann",
    kafka_sasl_password="pw",
    kafka_ssl_ca_file="/ca.pem",
    kafka_ssl_certificate_file="/me.pem",
    kafka_ssl_key_file="/me.key",
    kafka_ssl_key_password="kp",
)
CONFIGS: dict[str, Callable[[Settings], kafka.Config]] = {
    "producer": kafka.producer,
    "transactional": lambda s: kafka.transactional_producer(s, transactional_id="t"),
    "consumer": lambda s: kafka.consumer(s, group="g", instance="i"),
    "reader": lambda s: kafka.reader(s, name="r"),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_security_settings_reach_every_client(kind: str) -> None:
    config = CONFIGS[kind](SECURE)
    assert {
        "bootstrap.servers": "127.0.0.1:1",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "ann",
        "sasl.password": "pw",
        "ssl.ca.location": "/ca.pem",
        "ssl.certificate.location": "/me.pem",
        "ssl.key.location": "/me.key",
        "ssl.key.password": "kp",
    }.items() <= config.items()


def test_a_plain_cluster_gets_no_security_settings() -> None:
    assert not [key for key in kafka.common(LOCAL) if key.startswith(("sasl.", "ssl."))]


@pytest.mark.parametrize("missing", ["kafka_sasl_mechanism", "kafka_sasl_username", "kafka_sasl_password"])
def test_incomplete_sasl_is_refused(missing: str) -> None:
    variables = SECURE.to_env()
    del variables[f"SLUICE_{missing.upper()}"]
    with pytest.raises(ConfigError, match="SASL"):
        kafka.common(Settings.from_env(variables))


@pytest.mark.parametrize("kind", CONFIGS)
def test_no_cluster_is_refused(kind: str) -> None:
    with pytest.raises(ConfigError, match="no Kafka") as refused:
        CONFIGS[kind](Settings())
    assert "SLUICE_KAFKA_BOOTSTRAP" in refused.value.hint


def test_a_producer_reports_only_what_is_durable() -> None:
    for config in (kafka.producer(LOCAL), kafka.transactional_producer(LOCAL, transactional_id="t")):
        assert config["acks"] == "all"
        assert config["enable.idempotence"] is True
        assert config["message.max.bytes"] >= MAX_MESSAGE_BYTES, "what the raw topic takes must fit a dead letter"


def test_a_transaction_ends_within_its_time() -> None:
    config = kafka.transactional_producer(LOCAL, transactional_id="t")
    assert config["transactional.id"] == "t"
    assert config["message.timeout.ms"] <= config["transaction.timeout.ms"]


def test_a_consumer_skips_and_commits_nothing_by_itself() -> None:
    config = kafka.consumer(LOCAL, group="g")
    assert config["enable.auto.commit"] is False
    assert config["enable.auto.offset.store"] is False
    assert config["auto.offset.reset"] == "error"
    assert config["isolation.level"] == "read_committed"
    assert config["group.protocol"] == "classic"
    assert "group.instance.id" not in config
    assert kafka.consumer(LOCAL, group="g", instance="i")["group.instance.id"] == "i"


@pytest.mark.parametrize("kind", CONFIGS)
def test_librdkafka_knows_every_name(kind: str) -> None:
    """An unknown name or a bad combination is found out when the client is made, which connects to nothing yet."""
    client = Producer if kind in {"producer", "transactional"} else Consumer
    config = CONFIGS[kind](LOCAL) | {"log_level": 0}
    assert isinstance(client(config), client)
    with pytest.raises(KafkaException):
        client(config | {"no.such.setting": "1"})


@pytest.mark.parametrize(
    ("code", "fatal"),
    [
        (KafkaError._FATAL, True),
        (KafkaError._FENCED, True),
        (KafkaError.FENCED_INSTANCE_ID, True),
        (KafkaError.INVALID_PRODUCER_EPOCH, True),
        (KafkaError.PRODUCER_FENCED, True),
        (KafkaError.UNRELEASED_INSTANCE_ID, True),
        (KafkaError.ILLEGAL_GENERATION, False),
        (KafkaError.REBALANCE_IN_PROGRESS, False),
        (KafkaError.UNKNOWN_MEMBER_ID, False),
        (KafkaError._TRANSPORT, False),
        (KafkaError._ALL_BROKERS_DOWN, False),
        (KafkaError._PARTITION_EOF, False),
    ],
)
def test_fatal_is_what_ends_a_client(code: int, fatal: bool) -> None:
    assert kafka.is_fatal(KafkaError(code)) is fatal


def test_fatal_and_rebalance_codes_are_apart() -> None:
    assert not kafka.FATAL_CODES & kafka.REBALANCE_CODES


def test_a_marked_error_is_fatal_whatever_its_code() -> None:
    assert kafka.is_fatal(KafkaError(KafkaError._TRANSPORT, "x", True))


class _Call:
    def __init__(self, *errors: KafkaError) -> None:
        self._errors = list(errors)
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        if self._errors:
            raise KafkaException(self._errors.pop(0))


_RETRIABLE = KafkaError(KafkaError._TIMED_OUT, "slow", False, True, False)
_FINAL = KafkaError(KafkaError._STATE, "no", False, False, False)


def test_a_retriable_error_is_tried_again() -> None:
    call = _Call(_RETRIABLE, _RETRIABLE)
    kafka.retry(call, "something was done")
    assert call.calls == 3


def test_a_final_error_is_raised_at_once() -> None:
    call = _Call(_FINAL, _RETRIABLE)
    with pytest.raises(KafkaException):
        kafka.retry(call, "something was done")
    assert call.calls == 1


def test_retrying_gives_up() -> None:
    call = _Call(*[_RETRIABLE] * 50)
    with pytest.raises(KafkaException):
        kafka.retry(call, "something was done", give_up_s=0.15)
    assert 2 <= call.calls <= 4


class _Ends:
    def __init__(self, *errors: KafkaError) -> None:
        self._errors = list(errors)

    def get_watermark_offsets(self, _place: object, *, timeout: float) -> tuple[int, int]:
        assert timeout
        if self._errors:
            raise KafkaException(self._errors.pop(0))
        return 3, 9


_NO_LEADER = KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION, "not leader")


def test_the_ends_of_a_log_are_asked_for_until_it_has_a_leader() -> None:
    ends: Any = _Ends(_NO_LEADER, _NO_LEADER)
    assert kafka.watermarks(ends, "t", 0) == (3, 9)


def test_the_ends_of_a_log_are_not_asked_for_forever() -> None:
    ends: Any = _Ends(*[_NO_LEADER] * 50)
    with pytest.raises(UnavailableError, match="the ends of t were looked up: not leader"):
        kafka.watermarks(ends, "t", 0, timeout_s=0.15)
    dead: Any = _Ends(KafkaError(KafkaError._FATAL, "dead", True))
    with pytest.raises(UnavailableError, match="dead"):
        kafka.watermarks(dead, "t", 0)
    assert kafka.watermarks(dead, "t", 0) == (3, 9), "not asked a second time"


def test_a_clients_error_becomes_one_of_ours() -> None:
    error = kafka.unavailable(KafkaException(KafkaError(KafkaError._TRANSPORT, "broken pipe")), "topics were applied")
    assert isinstance(error, UnavailableError)
    assert "topics were applied" in error.message
    assert "broken pipe" in error.message
