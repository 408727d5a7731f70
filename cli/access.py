"""The folder that tells the embedded ClickHouse who may read what. The stack makes it, `sluice users` changes it."""

from __future__ import annotations

from pathlib import Path

from core.settings import Settings
from infra import documents
from infra.clickhouse.access import rights, users
from infra.clickhouse.access.rights import Rights
from sinks import readers


def folder(settings: Settings) -> Path:
    return settings.state_dir / "access"


def users_file(settings: Settings) -> Path:
    return folder(settings) / users.FILE_NAME


def prepare(settings: Settings) -> Path:
    """Write what readers may read, as this release of the program says; users stay."""
    made = folder(settings)
    made.mkdir(mode=0o700, exist_ok=True)
    documents.write_json(made / rights.FILE_NAME, of(settings.clickhouse_database))
    return made


def of(database: str) -> Rights:
    shown = readers.shown()
    return Rights(
        database=database,
        views={role: list(one.views) for role, one in shown.items()},
        reads={role: list(one.reads) for role, one in shown.items()},
        by_tenant=list(readers.BY_TENANT),
    )
