"""What is asked again while a server is away, and for how long."""

from __future__ import annotations

import pytest

from core.errors import UnavailableError
from core.lifecycle import Lifecycle
from sinks.clickhouse import ServerError
from sinks.patience import patiently


def test_it_asks_until_there_is_an_answer() -> None:
    answers: list[str | Exception] = [UnavailableError("away"), ServerError("starts", number=202), "here"]

    def ask() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert patiently(Lifecycle("t"), ask) == "here"


def test_what_waiting_does_not_help_is_told_at_once() -> None:
    def ask() -> None:
        raise ServerError("no such table", number=60)

    with pytest.raises(ServerError, match="no such table"):
        patiently(Lifecycle("t"), ask)


@pytest.mark.parametrize("drains", [True, False])
def test_it_ends_with_its_time_or_when_the_process_drains(drains: bool) -> None:
    lifecycle, tries = Lifecycle("t"), []

    def ask() -> None:
        tries.append(1)
        if drains and len(tries) == 2:
            lifecycle.drain(reason="asked to")
        raise UnavailableError("away")

    with pytest.raises(UnavailableError, match="away"):
        patiently(lifecycle, ask, limit_s=600 if drains else 0.001)
    assert len(tries) == 2
