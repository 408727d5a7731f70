"""What every command here works with: settings of the running stack, ClickHouse, contracts, and a progress bar."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.endpoints import effective_settings
from core import failpoints, kafka
from core.settings import Settings
from core.topics import Topics
from replay import judging, suppression
from replay.judging import InForce
from replay.plans import Plans
from replay.suppression import Suppressed
from schemas.registry import Registry, registry_at
from schemas.repairs import Rule
from sinks.clickhouse import ClickHouse

Report = Callable[[str, int, int], None]
_NICE = 10


class Context:
    """Nothing is asked before it is needed. `gives_way`: live processes of this machine go first, and have half of the
    engine's threads to themselves.
    """

    def __init__(self, *, schemas: str = "", gives_way: bool = False) -> None:
        if gives_way:
            os.nice(_NICE)
        found = effective_settings(Settings.from_env(os.environ))
        failpoints.arm(found.failpoint, state_dir=found.state_dir)
        # What numbers mean follows from it, and whoever asks here need not have the settings of the stack.
        partitions = kafka.partitions_of(found, Topics.named(found.topic_prefix).raw)
        self.settings: Settings = replace(found, partitions=partitions)
        self._schemas = schemas
        self._gives_way = gives_way

    @cached_property
    def server(self) -> ClickHouse:
        found = ClickHouse(self.settings)
        if not self._gives_way:
            return found
        threads = found.scalar(
            "SELECT toUInt32OrZero(extract(value, '\\\\d+')) FROM system.settings WHERE name = 'max_threads'"
        )
        return ClickHouse(self.settings, query_settings={"max_threads": str(max(1, threads // 2))})

    @cached_property
    def plans(self) -> Plans:
        return Plans(self.server)

    @cached_property
    def in_force(self) -> InForce:
        return judging.in_force(self.settings, registry_at(self.settings.schemas_dir))

    @cached_property
    def registry(self) -> Registry:
        """Contracts in force; those of the folder `schemas` if one was named."""
        return registry_at(self._schemas, drafts=True) if self._schemas else self.in_force.registry

    @property
    def rules(self) -> list[Rule]:
        return self.in_force.rules

    @property
    def digest(self) -> str:
        return judging.digest(self.registry, self.rules)

    @cached_property
    def suppressed(self) -> Suppressed:
        return suppression.from_file(self.settings.suppression_file)

    @property
    def who(self) -> str:
        return f"{getpass.getuser()}@{socket.gethostname()}"


@contextmanager
def bar(*, quiet: bool) -> Iterator[Report]:
    """Shows how far the work is, on a terminal's standard error."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda _what, _done, _total: None
        return
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)

        def report(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total)

        yield report
