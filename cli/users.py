"""`sluice users`: readers and admins of the embedded ClickHouse."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from core.errors import ConfigError, InputError
from core.settings import Settings

if TYPE_CHECKING:
    from infra.clickhouse.access.users import User


@click.group()
def users() -> None:
    """Users of the embedded ClickHouse: make, list and revoke them.

    They take effect at once, in a stack that runs and in one that is started later. On a ClickHouse server of yours,
    make users there.
    """


@users.command()
@click.argument("name")
@click.option("--role", type=click.Choice(["analyst", "tenant", "admin"]), required=True, help="What it may do.")
@click.option("--tenant", default="", help="Whose rows it sees; with --role tenant.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def create(*, name: str, role: str, tenant: str, as_json: bool) -> None:
    """Make a user and show the password, once.

    \b
    analyst  reads the views of all tenants; no raw bytes, nothing marked as personal
    tenant   reads the same views, rows of one tenant only
    admin    everything
    """
    import msgspec

    from cli import access
    from infra.clickhouse.access import users as store
    from infra.clickhouse.access.users import Role

    settings = _embedded()
    user, password = store.make(name, Role(role), tenant=tenant)
    access.folder(settings).mkdir(mode=0o700, parents=True, exist_ok=True)
    with store.edited(access.users_file(settings)) as known:
        if name in known or name == settings.clickhouse_user:
            raise InputError(f"there is a user {name} already", hint=f"`sluice users revoke {name}` ends it.")
        known[name] = user
    if as_json:
        click.echo(msgspec.json.encode({**_shown(user), "password": password}))
        return
    click.echo(f"user      {name}\nrole      {_role(user)}\npassword  {password}")
    click.echo("The password is not kept and cannot be shown again.", err=True)


@users.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_command(*, as_json: bool) -> None:
    """List the users, without what would let one in."""
    import msgspec
    from rich.console import Console
    from rich.table import Table

    from cli import access
    from infra.clickhouse.access import users as store

    found = store.read(access.users_file(_embedded()))
    if as_json:
        for user in found:
            click.echo(msgspec.json.encode(_shown(user)))
        return
    table = Table("user", "role", "made", header_style="bold")
    for user in found:
        table.add_row(user.name, _role(user), _made(user))
    Console().print(table if found else "No users besides `default`.")


@users.command()
@click.argument("name")
def revoke(*, name: str) -> None:
    """End a user: its next request is refused. A statement that runs goes on."""
    from cli import access
    from infra.clickhouse.access import users as store

    settings = _embedded()
    with store.edited(access.users_file(settings)) as known:
        if known.pop(name, None) is None:
            raise InputError(f"there is no user {name}", hint="`sluice users list` shows all.")
    click.echo(f"{name} is revoked.")


def _embedded() -> Settings:
    settings = Settings.from_env(os.environ)
    if settings.clickhouse_url:
        raise ConfigError(
            "SLUICE_CLICKHOUSE_URL names a server of yours, and its users are made there",
            hint="Unset it to manage the users of the embedded ClickHouse in SLUICE_STATE_DIR.",
        )
    return settings


def _role(user: User) -> str:
    return f"{user.role.value} {user.tenant}".strip()


def _made(user: User) -> str:
    return datetime.fromtimestamp(user.created_at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _shown(user: User) -> dict[str, str]:
    return {"name": user.name, "role": user.role.value, "tenant": user.tenant, "created_at": _made(user)}
