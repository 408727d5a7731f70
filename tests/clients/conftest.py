from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.infra.clickhouse.front import Front


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with Front(tmp_path_factory.mktemp("clients") / "data") as running:
        yield running
