"""Several collector processes on one port: what to start, and a supervisor for where no stack has one."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace

from core.lifecycle import Lifecycle
from core.log import configure
from core.settings import Settings
from infra import ports
from infra.process import ChildSpec
from infra.supervisor import Supervisor

# Longer than a collector waits for its last requests.
GRACE_S = 45.0
_READY_S = 60.0


def specs(settings: Settings, *, env: Mapping[str, str]) -> list[ChildSpec]:
    """One a process. They differ in `collector_worker_id` and name: `collector`, or `collector-0`, `collector-1`."""
    several = settings.collector_workers > 1
    return [
        ChildSpec(
            name=f"collector-{number}" if several else "collector",
            argv=(sys.executable, "-m", "cli", "collector"),
            env={**env, **replace(settings, collector_worker_id=str(number) if several else "").to_env()},
            log_path=settings.state_dir / "logs" / (f"collector-{number}.log" if several else "collector.log"),
            ready_timeout_s=_READY_S,
            stop_grace_s=GRACE_S,
        )
        for number in range(settings.collector_workers)
    ]


def supervise(settings: Settings) -> None:
    """Run `settings.collector_workers` processes until SIGTERM or SIGINT, and start again what ends by itself.

    Raises:
        SluiceError: one of them cannot be brought up.
    """
    configure(process="collectors", level=settings.log_level, form=settings.log_format)
    ports.require_free(settings.collector_port, purpose="the collector", setting="SLUICE_COLLECTOR_PORT")
    (settings.state_dir / "logs").mkdir(parents=True, exist_ok=True)
    lifecycle = Lifecycle("collectors", drain_grace_s=GRACE_S + 10)
    lifecycle.install_signal_handlers()
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("SLUICE_", "NOTIFY_SOCKET"))}
    supervisor = Supervisor([specs(settings, env=environ)])
    lifecycle.on_drain(supervisor.stop)
    if supervisor.start():
        lifecycle.ready()
        lifecycle.wait_for_drain()
    supervisor.stop()
    lifecycle.stopped()
