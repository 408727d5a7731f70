"""The collector as a process: socket, uvicorn, publisher, lifecycle. Decides nothing about events.

Start: 1. bind the socket; 2. start the publisher and the following of keys and flags; 3. listen; 4. announce ready
once Kafka or the spool takes events and the keys are read.
Stop: 1. readiness says 503; 2. no new connections; 3. requests in flight are answered; 4. the producer is flushed, and
the spool is left for the next process.
"""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
from contextlib import suppress

import uvloop

from collector import bounds, descriptors, tls
from collector.app import create_app
from collector.control import Control
from collector.durable import CLOSE_S, HAND_OVER_S, DurablePublisher
from collector.http_server import BACKLOG, Server, threadsafe
from collector.kafka import FLUSH_TIMEOUT_S
from collector.scrape import Scrape
from collector.spool.commits import COMMIT_DEADLINE_S
from core import failpoints, garbage
from core.errors import ConfigError, PortInUseError
from core.lifecycle import Lifecycle
from core.listener import listen_on
from core.log import configure, get_logger
from core.settings import Settings

log = get_logger(__name__)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return.

    Raises:
        PortInUseError: something else listens on the port.
        ConfigError: no Kafka is named, or the address is none of this machine.
    """
    configure(process=_name(settings), level=settings.log_level, form=settings.log_format)
    failpoints.arm(settings.failpoint, state_dir=settings.state_dir)
    _allow_descriptors()
    grace_s = _requests_end_s(settings) + CLOSE_S + FLUSH_TIMEOUT_S + 2
    lifecycle = Lifecycle(_name(settings), drain_grace_s=grace_s)
    listener = _bind(settings.collector_host, settings.collector_port, shared=settings.collector_workers > 1)
    lifecycle.install_signal_handlers()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, listener=listener, lifecycle=lifecycle))
    finally:
        listener.close()
    lifecycle.stopped()


async def _serve(settings: Settings, *, listener: socket.socket, lifecycle: Lifecycle) -> None:
    loop = asyncio.get_running_loop()
    publisher = DurablePublisher(settings)
    control = Control(settings)
    app = create_app(settings, publisher=publisher, lifecycle=lifecycle, controls=control.controls())
    server = Server(
        app,
        take=app.take,
        bounds=bounds.of(settings),
        grace_s=_requests_end_s(settings),
        tls=tls.context(settings),
    )
    # Draining begins on a thread of its own.
    lifecycle.on_drain(threadsafe(loop, server.stop))
    await publisher.start()
    control.start()
    tasks = [
        asyncio.create_task(_announce(publisher, control, server, lifecycle)),
        asyncio.create_task(Scrape(settings).run()),
        asyncio.create_task(descriptors.watch()),
    ]
    host, port = listener.getsockname()[:2]
    log.info("collector.listening", host=host, port=port)
    garbage.calm()
    try:
        await server.serve(sockets=[listener])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(publisher.close(), control.close())


async def _announce(publisher: DurablePublisher, control: Control, server: Server, lifecycle: Lifecycle) -> None:
    await publisher.wait_usable()
    await control.wait_loaded()
    await server.listening.wait()
    lifecycle.ready()


def _name(settings: Settings) -> str:
    return f"collector-{settings.collector_worker_id}" if settings.collector_workers > 1 else "collector"


def _allow_descriptors() -> None:
    """As many open files as the system lets us have: the usual soft limit is below what connections may be."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _requests_end_s(settings: Settings) -> int:
    """Every request has ended by then: its body has a deadline, and so have Kafka's acknowledgement and the spool's."""
    store_s = HAND_OVER_S + settings.collector_ack_timeout_ms / 1000 + COMMIT_DEADLINE_S
    return int(bounds.Bounds().body_s + store_s) + 1


def _bind(host: str, port: int, *, shared: bool) -> socket.socket:
    try:
        return listen_on(host, port, backlog=BACKLOG, shared=shared)
    except socket.gaierror as error:
        raise ConfigError(f"SLUICE_COLLECTOR_HOST names {host!r}, which is no address: {error}") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(
                f"port {port} of {host} is in use", hint="Stop what listens there, or set SLUICE_COLLECTOR_PORT."
            ) from error
        raise ConfigError(f"the collector cannot listen on {host}:{port}: {error.strerror}") from error
