"""`sluice keys list`, `show` and `config`: what is there."""

from __future__ import annotations

from typing import Any

import click

from cli.who import by_option


@click.command("list")
@click.option("--tenant", help="Only keys of this tenant.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def list_command(*, tenant: str | None, as_json: bool) -> None:
    """List keys, the newest first. Times are UTC; the last use is known to five minutes."""
    from cli.keys import report
    from cli.keys.api import KeyApi
    from cli.schemas.output import console, print_json, print_plain

    keys = _all(KeyApi.of_environment(), tenant)
    if as_json:
        print_json(keys)
    elif keys:
        print_plain(console(), report.listing(keys))
    else:
        click.echo("There are no keys but the bootstrap key.")


@click.command()
@click.argument("key_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(*, key_id: str, as_json: bool) -> None:
    """Show one key. Its text was shown when it was made, and is not kept."""
    from cli.keys import report
    from cli.keys.api import KeyApi
    from cli.schemas.output import print_json

    key = KeyApi.of_environment().get(key_id)
    if as_json:
        print_json(key)
        return
    for line in report.lines(key):
        click.echo(line)


@click.command()
@click.argument("key_id", metavar="ID")
@by_option
def config(*, key_id: str, by: str) -> None:
    """Print what a client needs to use a key, as JSON: address, tenant, limits.

    With the key itself for browser keys, which are public. The audit trail says who asked.
    """
    from cli.keys.api import KeyApi
    from cli.schemas.output import print_json

    print_json(KeyApi.of_environment().get(key_id, "config", by=by))


def _all(api: Any, tenant: str | None) -> list[dict[str, Any]]:
    query = {"tenant": tenant} if tenant else {}
    keys: list[dict[str, Any]] = []
    after = None
    while True:
        page = api.get(**query, **({"after": after} if after else {}))
        keys += page["keys"]
        after = page["next"]
        if after is None:
            return keys
