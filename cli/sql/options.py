"""What `sluice query` and `sluice sql` have in common: which ClickHouse, and as whom."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace

import click

from core.errors import ConfigError, UsageError
from core.settings import Settings

user_option = click.option(
    "--user", default="", help="Its user; SLUICE_CLICKHOUSE_PASSWORD, or else a prompt, says its password."
)
database_option = click.option("--database", default=None, help="Database instead of SLUICE_CLICKHOUSE_DATABASE.")


def pairs(_: click.Context, option: click.Parameter, values: Iterable[str]) -> dict[str, str]:
    """Of options that take NAME=VALUE."""
    for value in values:
        if "=" not in value:
            raise UsageError(f"{option.opts[0]} takes NAME=VALUE, not {value!r}")
    return {name: value for name, _, value in (value.partition("=") for value in values)}


def settings_for(user: str) -> Settings:
    """Settings with the addresses of the running stack, and `user` in place of the one they name.

    Raises:
        UnavailableError: no stack runs and no address is set.
        ConfigError: no password is known for `user` and nobody can be asked.
    """
    from cli.endpoints import effective_settings

    own = Settings.from_env(os.environ)
    found = effective_settings(own)
    if not user or user == found.clickhouse_user:
        return found
    password = own.clickhouse_password or os.environ.get("SLUICE_CLICKHOUSE_PASSWORD", "") or _asked(user)
    return replace(found, clickhouse_user=user, clickhouse_password=password)


def _asked(user: str) -> str:
    if not click.get_text_stream("stdin").isatty():
        raise ConfigError(f"no password for the user {user}", hint="Set SLUICE_CLICKHOUSE_PASSWORD.")
    password: str = click.prompt(f"Password of {user}", hide_input=True, err=True)
    return password
