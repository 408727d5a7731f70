"""Where the running stack is: what `sluice query`, `sluice import` and the like talk to when nothing else is set.

A running stack writes `<state>/endpoints.json`; settings from the environment win over it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec

from core.errors import ConfigError, UnavailableError
from core.settings import Settings

_FILE = "endpoints.json"


class Endpoints(msgspec.Struct, frozen=True):
    """Addresses and secrets of a stack on this machine. The file is readable by its owner only.

    `registry_url` is our own schema registry, `schema_registry_url` the external one that is used instead.
    """

    kafka_bootstrap: str
    clickhouse_url: str
    clickhouse_user: str
    clickhouse_password: str
    collector_url: str
    bootstrap_key: str
    bootstrap_tenant: str
    registry_url: str = ""
    schema_registry_url: str = ""


def write(state_dir: Path, endpoints: Endpoints) -> None:
    path = state_dir / _FILE
    temporary = path.with_suffix(".tmp")
    temporary.touch(mode=0o600)
    temporary.write_bytes(msgspec.json.encode(endpoints))
    temporary.replace(path)


def remove(state_dir: Path) -> None:
    (state_dir / _FILE).unlink(missing_ok=True)


def resolve(settings: Settings) -> Endpoints:
    """Endpoints from settings, filled up from the running stack's file.

    Raises:
        UnavailableError: neither names a collector and a ClickHouse.
    """
    found = _read(settings.state_dir)
    if found is None and not (settings.collector_url or settings.clickhouse_url or settings.kafka_bootstrap):
        raise UnavailableError(
            f"no running stack in {settings.state_dir} and no SLUICE_*_URL is set",
            hint="Start one with `sluice up`, or point SLUICE_STATE_DIR at its folder.",
        )
    blank = found or Endpoints("", "", settings.clickhouse_user, "", "", "", settings.bootstrap_tenant)
    return Endpoints(
        kafka_bootstrap=settings.kafka_bootstrap or blank.kafka_bootstrap,
        clickhouse_url=settings.clickhouse_url or blank.clickhouse_url,
        clickhouse_user=settings.clickhouse_user if settings.clickhouse_url else blank.clickhouse_user,
        clickhouse_password=settings.clickhouse_password or blank.clickhouse_password,
        collector_url=settings.collector_url or blank.collector_url,
        bootstrap_key=settings.bootstrap_key or blank.bootstrap_key,
        bootstrap_tenant=blank.bootstrap_tenant,
        registry_url=blank.registry_url,
        schema_registry_url=settings.schema_registry_url or blank.schema_registry_url,
    )


def effective_settings(settings: Settings) -> Settings:
    """`settings` with the addresses of the running stack filled in."""
    found = resolve(settings)
    return replace(
        settings,
        kafka_bootstrap=found.kafka_bootstrap,
        clickhouse_url=found.clickhouse_url,
        clickhouse_user=found.clickhouse_user,
        clickhouse_password=found.clickhouse_password,
        collector_url=found.collector_url,
        bootstrap_key=found.bootstrap_key,
        bootstrap_tenant=found.bootstrap_tenant,
        schema_registry_url=found.schema_registry_url,
    )


def _read(state_dir: Path) -> Endpoints | None:
    path = state_dir / _FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Endpoints)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", hint="Remove it and start the stack again.") from error
