"""`sluice settings`: all settings with the values in force. A secret is shown as set or not set, never in clear."""

from __future__ import annotations

import os

import click
import msgspec

from core.settings import SettingRow, Settings, rows


@click.command("settings")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def settings_command(*, as_json: bool) -> None:
    """List all settings: variable, value in force, default and meaning."""
    settings = Settings.from_env(os.environ)
    table = rows()
    if as_json:
        entries = [
            {"variable": r.variable, "type": r.type, "unit": r.unit, "value": _shown(settings, r), "help": r.help}
            for r in table
        ]
        click.echo(msgspec.json.format(msgspec.json.encode(entries)).decode())
        return
    for row in table:
        value = _shown(settings, row)
        mark = "" if value == row.default or (row.secret and value == "not set") else "  (set)"
        click.echo(f"{click.style(row.variable, bold=True)} = {value or '(empty)'} {row.unit}".rstrip() + mark)
        click.echo(f"    {row.help}")


def _shown(settings: Settings, row: SettingRow) -> str:
    value = getattr(settings, row.name)
    if row.secret:
        return "set" if value else "not set"
    return ("1" if value else "0") if isinstance(value, bool) else str(value)
