from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.infra.clickhouse.front import Front


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """One front for all tests that only ask; each makes tables of its own name."""
    with Front(tmp_path_factory.mktemp("front") / "data") as running:
        yield running


@pytest.fixture
def make_front(tmp_path: Path) -> Iterator[Callable[..., Front]]:
    """Fronts for tests that stop, kill or bound them; whatever still runs at the end is killed."""
    made: list[Front] = []

    def make(*, name: str = "data", **options: Any) -> Front:
        front = Front(tmp_path / name, options)
        made.append(front)
        return front

    yield make
    for front in made:
        if front.process is not None and front.process.poll() is None:
            front.kill()


@pytest.fixture
def table(front: Front, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty table `(id UInt64, s String)`, dropped afterwards."""
    name = request.node.name.split("[")[0]
    front.post(f"DROP TABLE IF EXISTS {name}")
    reply = front.post(f"CREATE TABLE {name} (id UInt64, s String) ENGINE = MergeTree ORDER BY id")
    assert reply.status == 200, reply.text
    yield name
    front.post(f"DROP TABLE IF EXISTS {name}")
