"""Socket, loop and signals of a server off the hot path: the test server, the schema registry.

The collector has its own (`collector.server`), which waits for requests in flight for as long as Kafka may take.
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

from collector.connection import Connection
from core.errors import ConfigError, PortInUseError
from core.lifecycle import Lifecycle
from core.listener import listen_on

_BACKLOG = 256
# What a client may still need to read its answer. Who ends a server wants its port back.
_GRACE_S = 2


def bind(host: str, port: int, *, another: str) -> socket.socket:
    """A listening socket; port 0 takes a free one. `another` is how to choose another port.

    Raises:
        PortInUseError: something else listens there.
        ConfigError: `host` is no address of this machine.
    """
    try:
        return listen_on(host, port, backlog=_BACKLOG)
    except socket.gaierror as error:
        raise ConfigError(f"{host!r} is no address: {error}") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(f"port {port} of {host} is in use", hint=f"Choose another with {another}.") from error
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}") from error


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: object, *, listener: socket.socket, lifecycle: Lifecycle, on_ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT. `on_ready` is called once a request would be answered."""
    lifecycle.install_signal_handlers()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(app, listener=listener, lifecycle=lifecycle, on_ready=on_ready))
    lifecycle.stopped()


def _call_threadsafe(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(callback)


class _Server(uvicorn.Server):
    """uvicorn with our signal handling, and with a moment at which it is ready."""

    def __init__(self, config: uvicorn.Config, *, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    def stop(self) -> None:
        self.should_exit = True


async def _serve(app: object, *, listener: socket.socket, lifecycle: Lifecycle, on_ready: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = _Server(config, on_ready=on_ready)
    # Draining begins on a thread of its own.
    lifecycle.on_drain(partial(_call_threadsafe, loop, server.stop))
    await server.serve(sockets=[listener])
