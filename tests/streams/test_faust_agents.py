"""The worker's Faust agents: what they do with what they get, and with an exception, which Faust would swallow."""

from __future__ import annotations

import asyncio
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from core.lifecycle import Lifecycle
from core.settings import Settings
from streams import app as module
from streams.engine import Batch
from streams.worker import StreamWorker

SETTINGS = Settings(kafka_bootstrap="127.0.0.1:1", topic_prefix="t.")
BATCHES = [Batch(serial, 0, {}, {}) for serial in range(3)]


class Engine:
    """Handles batches as it is told to."""

    failing: Exception | None = None

    def __init__(self, *_: object, **__: object) -> None:
        self.handled: list[int] = []

    def handle(self, batch: Batch) -> bool:
        if self.failing is not None and batch.serial == 1:
            raise self.failing
        self.handled.append(batch.serial)
        return True


class Died(BaseException):
    """Instead of the process's end."""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def engine(*_: object, **__: object) -> Engine:
        made = found["engine"] = Engine()
        return made

    def die(event: str, **fields: object) -> None:
        found["died"] = (event, fields)
        raise Died

    monkeypatch.setattr(module, "StreamEngine", engine)
    monkeypatch.setattr(module, "WorkerControl", lambda *_: None)
    monkeypatch.setattr(module, "die", die)
    found["app"] = module.create_app(SETTINGS)
    return found


def agent(made: dict[str, Any], name: str) -> Any:
    (found,) = [each for each in made["app"].agents.values() if each.fun.__name__ == name]
    return found.fun


class Stream:
    """What an agent iterates over."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items

    async def __aiter__(self) -> Any:
        for each in self._items:
            yield each

    async def items(self) -> Any:
        for each in self._items:
            yield each


def test_there_are_two_agents(made: dict[str, Any]) -> None:
    assert sorted(each.fun.__name__ for each in made["app"].agents.values()) == ["curate", "note"]


def test_batches_are_handled_in_order(made: dict[str, Any]) -> None:
    asyncio.run(agent(made, "curate")(Stream(BATCHES)))
    assert made["engine"].handled == [0, 1, 2]
    assert "died" not in made


@pytest.mark.parametrize("error", [ZeroDivisionError("a defect"), RuntimeError("of a library"), MemoryError()])
def test_an_exception_ends_the_process_before_the_next_batch(
    made: dict[str, Any], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(Engine, "failing", error)
    with pytest.raises(Died):
        asyncio.run(agent(made, "curate")(Stream(BATCHES)))
    assert made["died"] == ("streams.batch_failed", {"records": 0})
    assert made["engine"].handled == [0], "what came after it would be committed without it"


@pytest.mark.parametrize("entry", [(b"streams", b'{"paused":true}'), (None, None), (b"\xff\xfe", b"\x00")])
def test_every_command_is_noted(made: dict[str, Any], entry: tuple[bytes | None, bytes | None]) -> None:
    asyncio.run(agent(made, "note")(Stream([entry])))
    assert "died" not in made


def test_nothing_stands_before_a_line_of_the_log(made: dict[str, Any]) -> None:
    out = StringIO()
    worker = StreamWorker(made["app"], lifecycle=Lifecycle("streams"), quiet=True, stdout=out)
    asyncio.run(worker.on_startup_finished())
    assert out.getvalue() == ""
