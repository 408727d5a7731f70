"""A group whose commands are imported when called, so that `--help` is fast and a process loads only its own room."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

# command → (module, attribute, one line for --help)
Commands = Mapping[str, tuple[str, str, str]]


class LazyGroup(click.Group):
    """Made by `click.group(cls=LazyGroup, lazy=COMMANDS)`."""

    def __init__(self, *args: Any, lazy: Commands, **options: Any) -> None:
        super().__init__(*args, **options)
        self._lazy = lazy

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(self._lazy)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = self._lazy.get(cmd_name)
        if found is None:
            return None
        module, attribute, _ = found
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in self._lazy.items()])
