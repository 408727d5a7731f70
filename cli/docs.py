"""Reference pages made from the tables in the code: docs/settings.md, docs/metrics.md, docs/cli.md, docs/openapi.json.

`python -m cli.docs` writes them, `--check` fails where one is out of date, so that no page can drift.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from cli.main import cli
from collector.openapi import document
from core.errors import ExitCode
from core.metrics import METRICS
from core.settings import rows

_DOCS = Path(__file__).parent.parent / "docs"
_EXIT_MEANINGS = {
    ExitCode.OK: "Done.",
    ExitCode.DIFFERENCE: "A check ran and found a difference.",
    ExitCode.USAGE: "The command was called wrongly.",
    ExitCode.INPUT: "A file or event given cannot be used.",
    ExitCode.UNAVAILABLE: "Kafka, ClickHouse, a collector or the network does not answer.",
    ExitCode.INTERNAL: "A promise does not hold or a process failed; the log says why.",
    ExitCode.STATE: "The state folder or a port cannot be used as it is.",
    ExitCode.DISK_FULL: "No room left on the disk.",
    ExitCode.LOCKED: "Another live process holds the state folder.",
    ExitCode.CONFIG: "A setting is missing, unknown or malformed, or Python is too old.",
    ExitCode.INTERRUPTED: "Ended by Ctrl-C; running again continues without loss.",
}


def settings_page() -> str:
    lines = [
        "# Settings",
        "",
        "Read from the environment. A secret may also come from a file that `<NAME>_FILE` names. An unknown",
        "`SLUICE_*` variable is an error. `sluice settings` shows the values in force.",
        "",
        "| Variable | Default | Meaning |",
        "|---|---|---|",
    ]
    for row in rows():
        default = "(secret)" if row.secret else f"`{row.default}`" if row.default else "(empty)"
        lines.append(f"| `{row.variable}` | {default} {row.unit} | {row.help} |".replace("  ", " "))
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    lines = [
        "# Metrics",
        "",
        "Prometheus text format. The collector serves `/metrics` on its own port, stream workers, sinks",
    ]
    lines += [
        "and processors on `SLUICE_METRICS_PORT`.",
        "",
        "| Name | Kind | Labels | Meaning |",
        "|---|---|---|---|",
    ]
    for metric in METRICS:
        lines.append(f"| `{metric.name}` | {metric.kind} | {', '.join(metric.labels) or '-'} | {metric.help} |")
    return "\n".join(lines) + "\n"


def cli_page() -> str:
    lines = ["# The `sluice` command", "", "## Exit codes", "", "| Code | Meaning |", "|---|---|"]
    lines += [f"| {code.value} | {_EXIT_MEANINGS[code]} |" for code in ExitCode]
    # With the settings it is called with: a command keeps the help option of the first context that asked for it.
    called_with: dict[str, Any] = {**cli.context_settings, "terminal_width": 100}
    context = click.Context(cli, info_name="sluice", **called_with)
    lines += ["", *_help(cli, context)]
    return "\n".join(lines) + "\n"


def _help(command: click.Command, context: click.Context) -> list[str]:
    lines = [f"## `{context.command_path}`", "", "```", command.get_help(context), "```", ""]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            sub = command.get_command(context, name)
            if sub is not None:
                lines += _help(sub, click.Context(sub, info_name=name, parent=context, terminal_width=100))
    return lines


def openapi_page() -> str:
    return document().decode()


PAGES = {
    "settings.md": settings_page,
    "metrics.md": metrics_page,
    "cli.md": cli_page,
    "openapi.json": openapi_page,
}


def outdated() -> list[str]:
    """Names of pages that differ from what the code says."""
    return [
        name
        for name, make in PAGES.items()
        if not (_DOCS / name).is_file() or (_DOCS / name).read_text(encoding="utf-8") != make()
    ]


def _main() -> None:
    if "--check" in sys.argv[1:]:
        stale = outdated()
        if stale:
            click.echo(f"out of date: {', '.join(stale)}. Run: .venv/bin/python -m cli.docs", err=True)
            sys.exit(ExitCode.DIFFERENCE)
        return
    for name, make in PAGES.items():
        (_DOCS / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    _main()
