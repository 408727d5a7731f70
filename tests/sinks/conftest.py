"""A real engine, once for all tests of the sink; each test that asks for it has a database of its own."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import pytest

from core.settings import Settings
from sinks.clickhouse import ClickHouse
from tests.infra.clickhouse.front import PASSWORD, Front

_numbers = itertools.count()


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with Front(tmp_path_factory.mktemp("engine") / "data") as running:
        yield running


@pytest.fixture(scope="session")
def engine_settings(engine: Front) -> Settings:
    return Settings(
        clickhouse_url=f"http://127.0.0.1:{engine.port}", clickhouse_user="default", clickhouse_password=PASSWORD
    )


@pytest.fixture
def database(engine_settings: Settings) -> Iterator[Settings]:
    """Settings of a database that does not exist yet."""
    settings = dataclasses.replace(engine_settings, clickhouse_database=f"test_{next(_numbers)}")
    yield settings
    ClickHouse(settings, database="").execute(f"DROP DATABASE IF EXISTS {settings.clickhouse_database}")
