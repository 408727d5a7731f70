"""`sluice spool drain`: what a collector would do with the folders of dead ones, without a collector."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import NamedTuple

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.endpoints import effective_settings
from cli.schemas.output import print_json
from collector.kafka import KafkaPublisher
from collector.publisher import Record
from collector.spool.aside import FOLDER, SetAside
from collector.spool.drain import Drain, Step
from collector.spool.folders import Folders
from collector.spool.log import SpoolLog
from collector.spool.spool import root_of
from core.clock import SystemClock
from core.errors import UnavailableError
from core.settings import Settings

# Called with the records that are sent, and those there were.
Show = Callable[[int, int], None]
_ATTEMPTS = 5
_PAUSE_S = 1.0


class Drained(NamedTuple):
    """Records sent and set aside, and folders that running processes hold."""

    sent: int
    set_aside: int
    in_use: int


@click.command()
@click.option("--set-aside", is_flag=True, help="Try again what was set aside, after the topic takes larger records.")
@click.option("--rate", type=click.IntRange(min=1), help="Records a second; SLUICE_SPOOL_DRAIN_RATE if left out.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def drain(*, set_aside: bool, rate: int | None, as_json: bool) -> None:
    """Send what dead collectors left in their spools to Kafka, oldest first.

    Folders of running collectors are left alone: they drain themselves. Ctrl-C at any time loses nothing; what was
    sent and not noted yet is sent again, and recognised as a repeat.
    """
    settings = effective_settings(Settings.from_env(os.environ))
    if rate is not None:
        settings = replace(settings, spool_drain_rate=rate)
    with _bar() as show:
        done = asyncio.run(_drain(settings, set_aside=set_aside, show=show))
    if as_json:
        print_json(done._asdict())
        return
    aside = f"; {done.set_aside:,} refused for their size and set aside" if done.set_aside else ""
    used = f"; {done.in_use} folders are in use by running collectors" if done.in_use else ""
    click.echo(f"{done.sent:,} records sent to Kafka{aside}{used}")


async def _drain(settings: Settings, *, set_aside: bool, show: Show) -> Drained:
    root = root_of(settings)
    folders = Folders(root / FOLDER if set_aside else root)
    async with _kafka(settings) as kafka:
        aside, kept = SetAside(root, clock=SystemClock()), 0

        def keep(record: Record, reason: str) -> None:
            nonlocal kept
            aside.keep(record, reason)
            kept += 1

        mover = Drain(send=kafka.publish, set_aside=keep, rate=settings.spool_drain_rate, clock=SystemClock())
        try:
            with _logs(folders) as logs:
                total = sum(log.records for log in logs)
                for log in logs:
                    await _empty(log, mover, kafka, lambda: show(mover.moved, total))
                in_use = len(folders.listed()) - len(logs)
        finally:
            aside.close()
    # With --set-aside, what was refused once more lies in a folder of its own, which was ours.
    return Drained(mover.moved - kept, kept, in_use - bool(set_aside and kept))


async def _empty(log: SpoolLog, mover: Drain, kafka: KafkaPublisher, moved: Callable[[], None]) -> None:
    attempts = 0
    while (step := await mover.step(log)) is not Step.EMPTY:
        moved()
        if step is Step.MOVED:
            attempts = 0
            continue
        attempts += 1
        if attempts == _ATTEMPTS:
            raise UnavailableError(
                await kafka.look() or "Kafka does not acknowledge the records",
                hint="Nothing is lost: call it again when Kafka is there.",
            )
        await asyncio.sleep(_PAUSE_S)


@asynccontextmanager
async def _kafka(settings: Settings) -> AsyncIterator[KafkaPublisher]:
    kafka = KafkaPublisher(settings)
    kafka.start()
    try:
        yield kafka
    finally:
        await kafka.close()


@contextmanager
def _logs(folders: Folders) -> Iterator[list[SpoolLog]]:
    """The logs of all orphans. What is empty in the end is removed."""
    held = folders.adopt()
    logs: list[SpoolLog] = []
    try:
        logs.extend(SpoolLog(folder.path, max_bytes=0) for folder in held)
        yield logs
    finally:
        for log in logs:
            log.close()
        for folder in held:
            folder.release(remove=True)


@contextmanager
def _bar() -> Iterator[Show]:
    """A bar on standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    columns = (TextColumn("draining"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("")
        yield lambda done, total: shown.update(task, completed=done, total=total)
