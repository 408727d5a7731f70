from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli import access
from infra import documents
from infra.clickhouse.access import rights
from tests.infra.clickhouse.front import PASSWORD, Front


@dataclass
class Shop:
    front: Front
    environment: dict[str, str]


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A ClickHouse with a small database, and the environment of commands that use it."""
    folder: Path = tmp_path_factory.mktemp("sql")
    (folder / "access").mkdir()
    documents.write_json(folder / "access" / rights.FILE_NAME, access.of("sluice"))
    with Front(folder / "data", {"access": str(folder / "access")}) as front:
        front.post("CREATE DATABASE sluice")
        front.post(
            "CREATE TABLE sluice.visits (id UInt64 COMMENT 'Which visit', page Nullable(String)) "
            "ENGINE = MergeTree ORDER BY id COMMENT 'Visits of pages'"
        )
        front.post("INSERT INTO sluice.visits VALUES (1, '/'), (2, NULL), (3, 'a\tb\x1b[31m')")
        environment = {
            "SLUICE_CLICKHOUSE_URL": f"http://127.0.0.1:{front.port}",
            "SLUICE_CLICKHOUSE_PASSWORD": PASSWORD,
            "SLUICE_STATE_DIR": str(folder / "state"),
        }
        yield Shop(front, environment)
