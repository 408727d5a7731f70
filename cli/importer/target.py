"""Whom an import talks to: the collector, with which key, and the ClickHouse behind it.

The running stack stands in for whatever is not said. Its key opens the stack alone, and its ClickHouse says nothing
about what another collector's has stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cli.importer.warehouse import ClickHouseWarehouse
from core.errors import ConfigError, UnavailableError
from core.settings import Settings

if TYPE_CHECKING:
    from cli.endpoints import Endpoints


@dataclass(frozen=True, slots=True)
class Target:
    """`tenant` is empty if nobody named one and nothing depends on it. `warehouse` is None if it is not to be asked."""

    collector_url: str
    key: str = field(repr=False)
    tenant: str
    warehouse: ClickHouseWarehouse | None


def find(settings: Settings, *, url: str, key_file: Path | None, tenant: str, warehouse_check: bool) -> Target:
    """
    Raises:
        UnavailableError: no collector or ClickHouse is known, or ClickHouse does not answer.
        ConfigError: the key is missing or its file cannot be read.
    """
    url = url or settings.collector_url
    key = _read_key(key_file) if key_file else settings.bootstrap_key
    stack = None
    if not (url and key):
        stack = _running(settings)
        if not key and not _same(url or stack.collector_url, stack):
            # The stack's key opens the stack; it is not handed to whoever answers elsewhere.
            raise ConfigError(f"no tracking key for {url}", hint="Give the file of one with --key-file.")
        url, key = url or stack.collector_url, key or stack.bootstrap_key
    if not warehouse_check:
        return Target(url, key, tenant, None)
    behind = _behind(settings, url, stack)
    # The collector is told the tenant: if it is not the key's, it says so, and nothing has gone unchecked.
    tenant = tenant or behind.bootstrap_tenant
    return Target(url, key, tenant, ClickHouseWarehouse(behind, tenant=tenant))


def _behind(settings: Settings, url: str, stack: Endpoints | None) -> Settings:
    """Settings with the ClickHouse that the collector at `url` fills."""
    if settings.clickhouse_url:
        return settings
    unknown = UnavailableError(
        f"it is not known which ClickHouse is behind {url}, and so not what it has stored already",
        hint="Set SLUICE_CLICKHOUSE_URL, or import with --no-warehouse-check.",
    )
    try:
        stack = stack or _running(settings)
    except UnavailableError:
        raise unknown from None
    if not _same(url, stack):
        raise unknown
    return replace(
        settings,
        clickhouse_url=stack.clickhouse_url,
        clickhouse_user=stack.clickhouse_user,
        clickhouse_password=stack.clickhouse_password,
        bootstrap_tenant=stack.bootstrap_tenant,
    )


def _same(url: str, stack: Endpoints) -> bool:
    return url.rstrip("/") == stack.collector_url.rstrip("/")


def _running(settings: Settings) -> Endpoints:
    from cli.endpoints import resolve  # looks for a running stack, which is not always needed

    return resolve(settings)


def _read_key(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the key file {path} cannot be read: {error}") from error
