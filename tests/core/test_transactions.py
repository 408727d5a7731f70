"""How long offsets that a transaction holds are waited for. That Kafka holds them is for the tests with a broker."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from core import kafka, transactions
from core.errors import UnavailableError
from core.settings import Settings
from core.transactions import UnendedTransactionError, committed

HELD = KafkaException(KafkaError(KafkaError._TIMED_OUT, "held"))
AWAY = KafkaException(KafkaError(KafkaError._TRANSPORT, "away"))
FOUND = [TopicPartition("t", 0, 5)]


class Time:
    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Member:
    """Answers what comes next, the last for ever. A question takes its whole time-out."""

    def __init__(self, time: Time, *answers: Any) -> None:
        self._time = time
        self._answers = deque(answers)
        self.asked = 0

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert partitions == FOUND
        self._time.sleep(timeout)
        self.asked += 1
        answer = self._answers.popleft() if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        found: list[TopicPartition] = answer
        return found

    def close(self) -> None: ...


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(transactions, "time", time)
    return time


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, time: Time) -> Callable[..., list[TopicPartition]]:
    """Ask a group whose offsets `stable` tells, and `anyway` without regard to transactions."""

    def asked(stable: list[Any], anyway: list[Any]) -> list[TopicPartition]:
        others = Member(time, *anyway)
        monkeypatch.setattr(transactions, "Consumer", lambda _config: others)
        member: Any = Member(time, *stable)
        return committed(Settings(kafka_bootstrap="127.0.0.1:1"), member, group="g", partitions=FOUND)

    return asked


Ask = Callable[..., list[TopicPartition]]


def test_an_answer_is_taken(ask: Ask) -> None:
    assert ask([FOUND], [AWAY]) == FOUND


def test_a_transaction_that_ends_is_waited_for(ask: Ask) -> None:
    assert ask([HELD, HELD, FOUND], [FOUND]) == FOUND


def test_one_that_holds_them_for_longer_than_any_may_was_forgotten(ask: Ask, time: Time) -> None:
    with pytest.raises(UnendedTransactionError, match=r"offsets of g .*25 s"):
        ask([HELD], [FOUND])
    assert transactions.LONGEST_S < time.now < 60


def test_while_kafka_is_away_nothing_is_known_of_transactions(ask: Ask) -> None:
    # Away, back with one open, away again and back: never seen open for long enough at a time.
    assert ask([*[HELD] * 8, FOUND], [*[AWAY] * 2, FOUND, FOUND, AWAY, FOUND, FOUND, FOUND]) == FOUND


def test_kafka_is_not_waited_for_for_ever(ask: Ask, time: Time) -> None:
    with pytest.raises(UnavailableError, match="committed offsets") as failed:
        ask([HELD], [AWAY])
    assert not isinstance(failed.value, UnendedTransactionError)
    assert kafka.GIVE_UP_S < time.now < kafka.GIVE_UP_S + 30


def test_a_refusal_is_believed_after_a_while(ask: Ask, time: Time) -> None:
    refused = KafkaException(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED, "not yours"))
    with pytest.raises(UnavailableError, match="not yours"):
        ask([refused], [FOUND])
    assert kafka.CALL_TIMEOUT_S < time.now < kafka.GIVE_UP_S


def test_a_coordinator_that_moves_is_found(ask: Ask) -> None:
    assert ask([KafkaException(KafkaError(KafkaError.NOT_COORDINATOR, "moved")), FOUND], [AWAY]) == FOUND


def test_a_dead_client_asks_no_more(ask: Ask, time: Time) -> None:
    with pytest.raises(UnavailableError, match="fenced"):
        ask([KafkaException(KafkaError(KafkaError._FENCED, "fenced"))], [FOUND])
    assert time.now < 10
