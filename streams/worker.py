"""The stream worker's process: Faust's worker with our signals, log and readiness."""

from __future__ import annotations

import signal
from typing import Any, NoReturn

import faust

from core import failpoints, garbage, metrics
from core.lifecycle import Lifecycle
from core.log import configure
from core.settings import Settings
from streams.app import create_app


class StreamWorker(faust.Worker):
    """Faust's own worker ignores a second signal and waits for a broker that is gone."""

    def __init__(self, app: faust.App, *, lifecycle: Lifecycle, **options: Any) -> None:
        super().__init__(app, **options)
        self._lifecycle = lifecycle
        self.spinner = None  # it ends with escape codes, in front of a line of the log

    def _schedule_shutdown(self, signal: signal.Signals) -> None:
        self._lifecycle.signalled(signal)
        super()._schedule_shutdown(signal)


def run(settings: Settings) -> NoReturn:
    """Run a worker until it is told to stop; ends in SystemExit with the exit code."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)  # Faust makes its own folder, not the one above
    failpoints.arm(settings.failpoint, state_dir=settings.state_dir)
    metrics.serve(settings.metrics_port)
    lifecycle = Lifecycle("streams")
    worker = StreamWorker(
        create_app(settings, lifecycle=lifecycle),
        lifecycle=lifecycle,
        loglevel=settings.log_level,
        redirect_stdouts=False,
        override_logging=False,
        quiet=True,
    )
    garbage.calm()
    configure(process="streams", level=settings.log_level, form=settings.log_format)
    worker.execute_from_commandline()
