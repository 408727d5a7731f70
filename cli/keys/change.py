"""`sluice keys create`, `rotate` and `revoke`. Each is told in the audit trail."""

from __future__ import annotations

from typing import Any

import click

from cli.who import by_option

_HOUR_S = 3600


@click.command()
@click.option("--tenant", required=True, help="Whose events it may send.")
@click.option("--name", default="", help="What it is for.")
@click.option("--browser", is_flag=True, help="For pages: public, and bound to their origins.")
@click.option(
    "--origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="https://shop.example, or none for mails; may be repeated.",
)
@click.option("--test", is_flag=True, help="Begin it with slc_test_ instead of slc_live_.")
@click.option("--expires-at", metavar="TIME", help="RFC 3339 with an offset: when it ends by itself.")
@click.option("--requests-per-minute", type=click.IntRange(min=0), help="Of one client; 0 for no limit.")
@by_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def create(  # noqa: PLR0913 (an option each)
    *,
    tenant: str,
    name: str,
    browser: bool,
    origins: tuple[str, ...],
    test: bool,
    expires_at: str | None,
    requests_per_minute: int | None,
    by: str,
    as_json: bool,
) -> None:
    """Make a key and show it, once.

    \b
    Examples:
      sluice keys create --tenant shop --name checkout
      sluice keys create --tenant shop --browser --origin https://shop.example
    """
    from cli.keys.api import KeyApi

    asked: dict[str, Any] = {
        "tenant": tenant,
        "kind": "browser" if browser else "server",
        "mode": "test" if test else "live",
        "name": name,
        "origins": origins,
        "requests_per_minute": requests_per_minute,
        "by": by,
    }
    if expires_at:
        asked["expires_at"] = expires_at
    _print_made(KeyApi.of_environment().post(body=asked), as_json=as_json)


@click.command()
@click.argument("key_id", metavar="ID")
@click.option("--overlap-hours", type=click.FloatRange(min=0), default=24, show_default=True, help="Both keys work.")
@by_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def rotate(*, key_id: str, overlap_hours: float, by: str, as_json: bool) -> None:
    """Replace a key by a new one with the same rights and show it, once. For the overlap both work."""
    from cli.keys.api import KeyApi

    body = {"overlap_seconds": int(overlap_hours * _HOUR_S), "by": by}
    made = KeyApi.of_environment().post(key_id, "rotate", body=body)
    _print_made(made, as_json=as_json)
    if not as_json:
        click.echo(f"{key_id} works for another {overlap_hours:g} hours; its last use tells when nobody needs it.")


@click.command()
@click.argument("key_id", metavar="ID")
@click.option("--reason", default="", help="Why, for whoever looks later.")
@by_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def revoke(*, key_id: str, reason: str, by: str, as_json: bool) -> None:
    """End a key at once and for good, in all collectors."""
    from cli.keys.api import KeyApi
    from cli.schemas.output import print_json

    key = KeyApi.of_environment().post(key_id, "revoke", body={"reason": reason, "by": by})
    if as_json:
        print_json(key)
    else:
        click.echo(f"{key_id} is revoked. Nothing brings it back.")


def _print_made(made: dict[str, Any], *, as_json: bool) -> None:
    from cli.schemas.output import print_json

    if as_json:
        print_json(made)
        return
    click.echo(made["key"])
    click.echo(f"This is the only time it is shown. Its id is {made['id']}.", err=True)
