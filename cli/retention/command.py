"""`sluice retention plan` and `apply`."""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import msgspec

from cli.rollups.days import bar
from core.errors import UnavailableError
from core.settings import Settings

if TYPE_CHECKING:
    from sinks.clickhouse import ClickHouse
    from sinks.retention.plan import Step

_json = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


@click.group("retention")
def retention() -> None:
    """Delete by age: whole layers, single tenants, personal data. The settings SLUICE_RETENTION_* say what.

    Nothing is deleted but by `apply`; run it once a day. A period of a tenant is a TTL of the tables, which ClickHouse
    applies from then on.
    """


@retention.command()
@_json
def plan(*, as_json: bool) -> None:
    """Say what `apply` would delete, and warn of periods that do not fit together."""
    settings, _, steps = _planned()
    warnings = _warnings(settings)
    if as_json:
        found = {"steps": [asdict(each) for each in steps], "warnings": warnings}
        click.echo(msgspec.json.encode(found).decode())
        return
    _say(steps)
    for each in warnings:
        click.secho(f"warning: {each}", fg="yellow")


@retention.command()
@_json
def apply(*, as_json: bool) -> None:
    """Delete what `plan` says. Cannot be undone."""
    from sinks.retention import plan as planning

    _, server, steps = _planned()
    with bar() as show:
        planning.apply(server, steps, progress=show)
    if as_json:
        click.echo(msgspec.json.encode({"steps": [asdict(each) for each in steps]}).decode())
        return
    _say(steps)


def _planned() -> tuple[Settings, ClickHouse, list[Step]]:
    from cli.endpoints import effective_settings
    from schemas.registry import registry_at
    from sinks.clickhouse import ClickHouse
    from sinks.retention.plan import plan as planned
    from sinks.retention.policy import policy

    settings = effective_settings(Settings.from_env(os.environ))
    server = ClickHouse(settings)
    registry = registry_at(settings.schemas_dir)
    return settings, server, planned(server, policy(settings), registry, today=datetime.now(UTC).date())


def _warnings(settings: Settings) -> list[str]:
    from sinks.retention.lag import groups_of, too_far_behind
    from sinks.retention.policy import policy

    found = policy(settings).warnings(settings)
    if not settings.kafka_bootstrap:
        return found
    try:
        return found + [each.warning for each in too_far_behind(settings, groups_of(settings))]
    except UnavailableError as error:
        return [*found, f"the lag is not known: {error.message}"]


def _say(steps: list[Step]) -> None:
    for each in steps:
        size = f" ({each.rows} rows, {each.bytes / 2**20:.1f} MiB)" if each.rows else ""
        click.echo(f"{each.what}{size}")
    if not steps:
        click.echo("nothing to delete")
