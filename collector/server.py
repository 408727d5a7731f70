"""The collector as a process: socket, uvicorn, publisher, lifecycle. Decides nothing about events.

Start: 1. bind the socket; 2. start the publisher; 3. listen; 4. announce ready once the raw topic was seen.
Stop: 1. readiness says 503; 2. no new connections; 3. requests in flight are answered; 4. the producer is flushed.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Generator
from functools import partial

import uvicorn
import uvloop

from collector import bounds
from collector.app import create_app
from collector.connection import Connection, Waiting
from collector.kafka import FLUSH_TIMEOUT_S, KafkaPublisher
from core import failpoints
from core.errors import ConfigError, PortInUseError
from core.lifecycle import Lifecycle
from core.listener import listen_on
from core.log import configure, get_logger
from core.settings import Settings

log = get_logger(__name__)

# uvicorn's own default; how many connections may wait for the loop.
BACKLOG = 2048


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return.

    Raises:
        PortInUseError: something else listens on the port.
        ConfigError: no Kafka is named, or the address is none of this machine.
    """
    configure(process="collector", level=settings.log_level, form=settings.log_format)
    failpoints.arm(settings.failpoint, state_dir=settings.state_dir)
    lifecycle = Lifecycle("collector", drain_grace_s=_requests_end_s(settings) + FLUSH_TIMEOUT_S + 2)
    listener = _bind(settings.collector_host, settings.collector_port)
    lifecycle.install_signal_handlers()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, listener=listener, lifecycle=lifecycle))
    finally:
        listener.close()
    lifecycle.stopped()


class _Server(uvicorn.Server):
    """uvicorn without its signal handling, which would end the process the way the signal does by default."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    def stop(self) -> None:
        self.should_exit = True


async def _serve(settings: Settings, *, listener: socket.socket, lifecycle: Lifecycle) -> None:
    loop = asyncio.get_running_loop()
    publisher = KafkaPublisher(settings)
    server = _Server(_config(settings, publisher=publisher, lifecycle=lifecycle))
    # Draining begins on a thread of its own.
    lifecycle.on_drain(partial(_call_threadsafe, loop, server.stop))
    publisher.start()
    announce = asyncio.create_task(_announce(publisher, server, lifecycle))
    host, port = listener.getsockname()[:2]
    log.info("collector.listening", host=host, port=port)
    try:
        await server.serve(sockets=[listener])
    finally:
        announce.cancel()
        await publisher.close()


async def _announce(publisher: KafkaPublisher, server: _Server, lifecycle: Lifecycle) -> None:
    await publisher.wait_seen()
    await server.listening.wait()
    lifecycle.ready()


def _call_threadsafe(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(callback)


def _config(settings: Settings, *, publisher: KafkaPublisher, lifecycle: Lifecycle) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(settings, publisher=publisher, lifecycle=lifecycle),
        http=partial(Connection, bounds=bounds.of(settings), waiting=Waiting()),  # type: ignore[arg-type]  # a class
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",  # its start and stop are told by ours
        access_log=False,
        server_header=False,
        date_header=False,  # the connection writes its own
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=_requests_end_s(settings),
    )


def _requests_end_s(settings: Settings) -> int:
    """Every request has ended by then: its body has a deadline, and so has Kafka's acknowledgement."""
    return int(bounds.Bounds().body_s + settings.collector_ack_timeout_ms / 1000) + 1


def _bind(host: str, port: int) -> socket.socket:
    try:
        return listen_on(host, port, backlog=BACKLOG)
    except socket.gaierror as error:
        raise ConfigError(f"SLUICE_COLLECTOR_HOST names {host!r}, which is no address: {error}") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(
                f"port {port} of {host} is in use", hint="Stop what listens there, or set SLUICE_COLLECTOR_PORT."
            ) from error
        raise ConfigError(f"the collector cannot listen on {host}:{port}: {error.strerror}") from error
