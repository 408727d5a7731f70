"""`sluice up`: the whole stack in one terminal, or with `--detach` in the background."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from cli import endpoints
from cli.stack import running
from cli.up import document, holder
from cli.up.detach import detach
from cli.up.interruption import draining_on_signal
from cli.up.monitor import Monitor
from cli.up.reporter import Reporter
from cli.up.screens import JsonLines, Nothing, PlainLines, Screen, Terminal
from cli.up.words import count, span
from core.errors import ExitCode, SluiceError, StateError, StateLockedError
from core.log import configure, get_logger
from core.settings import Settings
from infra.child_log import ROTATE_BYTES
from infra.state import VERSION_FILE, open_folder

log = get_logger(__name__)

_MAX_WORKERS = 64


@click.command()
@click.option(
    "--workers",
    type=click.IntRange(1, _MAX_WORKERS),
    default=1,
    show_default=True,
    help="Stream workers, and as many sinks. More than SLUICE_PARTITIONS only stand by.",
)
@click.option("--detach", "detached", is_flag=True, help="Leave it running in the background; return when it is ready.")
@click.option("--json", "as_json", is_flag=True, help="Print the status as one JSON object a line, at each change.")
@click.option("--background", is_flag=True, hidden=True, help="What --detach starts.")
def up(*, workers: int, detached: bool, as_json: bool, background: bool) -> int:
    """Start the whole stack and show how it is doing.

    Whatever is not external is started: Kafka, ClickHouse, a collector, stream workers, sinks and a schema registry.
    Topics and tables are brought up to date. What crashes is started again. Ctrl-C drains in order, a second Ctrl-C
    ends at once.

    `sluice status`, `sluice logs` and `sluice down` work from other terminals.
    """
    settings = Settings.from_env(os.environ)
    folder = _open_folder(settings.state_dir)
    settings = replace(settings, state_dir=folder)
    if detached:
        return detach(folder, workers=workers, as_json=as_json)
    with _logged(settings):
        try:
            return _up(settings, workers, _screen(as_json=as_json, background=background))
        except SluiceError as error:
            if isinstance(error, StateLockedError):
                error.hint = (
                    "`sluice status` looks at it, `sluice down` stops it, SLUICE_STATE_DIR names another folder."
                )
            # Without its trace: the message is the cause. `detach` reads it here.
            log.error("up.failed", pid=os.getpid(), code=error.code, message=error.message, hint=error.hint)  # noqa: TRY400
            raise


def _open_folder(path: Path) -> Path:
    try:
        return open_folder(path)
    except StateError as error:
        if (path / VERSION_FILE).exists():
            error.hint += " `sluice reset` deletes its data, so that it can be used anew."
        raise


def _up(settings: Settings, workers: int, screen: Screen) -> int:
    monitor = Monitor(settings)
    reporter = Reporter(monitor, screen)

    def on_step(text: str) -> None:
        monitor.step = text
        log.info("up.step", what=text)
        # The first step is told under the folder's lock; before, the document may be another stack's.
        reporter.publish(settings.state_dir)

    def abandon() -> None:
        screen.abandon()
        document.remove(settings.state_dir, pid=os.getpid())
        endpoints.remove(settings.state_dir)

    started = time.monotonic()
    with (
        reporter,
        draining_on_signal(drain=monitor.drain, children=monitor.processes.pids, abandon=abandon),
        running(settings, workers=workers, registry=True, on_step=on_step, on_event=monitor.processes) as stack,
    ):
        monitor.step = ""
        monitor.watch(stack)
        log.info("up.ready", pid=os.getpid(), seconds=round(time.monotonic() - started, 1))
        _wait_for_signal()
    last = monitor.snapshot()
    log.info("up.stopped", pid=os.getpid())
    if isinstance(screen, Terminal):
        with contextlib.suppress(OSError):  # the terminal may be gone
            click.echo(
                f"Stopped after {span(last.up_s)}: {count(last.figures.received)} events received, "
                f"{count(last.figures.rows)} rows in the table.\nThe data stays in {settings.state_dir}."
            )
    return ExitCode.OK


def _wait_for_signal() -> None:
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return


def _screen(*, as_json: bool, background: bool) -> Screen:
    if background:
        return Nothing()
    if as_json:
        return JsonLines(click.echo)
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return Terminal(sys.stdout)
    return PlainLines(lambda line: click.echo(f"{time.strftime('%H:%M:%S')} {line}", err=True))


@contextmanager
def _logged(settings: Settings) -> Iterator[None]:
    """Send our own log to `logs/up.log`: the terminal is the view's."""
    path = settings.state_dir / "logs" / "up.log"
    path.parent.mkdir(exist_ok=True)
    _rotate(path, settings.state_dir)
    with path.open("a", encoding="utf-8") as file:
        configure(process="up", level=settings.log_level, form="json", stream=file)
        try:
            yield
        finally:
            configure(process="up", level=settings.log_level, form=settings.log_format)


def _rotate(path: Path, folder: Path) -> None:
    if path.exists() and path.stat().st_size > ROTATE_BYTES and holder.of(folder) is None:
        path.replace(path.with_name("up.log.1"))
