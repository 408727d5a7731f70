"""Socket, loop and signals of a server off the hot path: the test server, the schema registry.

The collector has its own (`collector.server`), which waits for requests in flight for as long as Kafka may take.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

import uvloop

from collector.http_server import Server, threadsafe
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


async def _serve(app: object, *, listener: socket.socket, lifecycle: Lifecycle, on_ready: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    server = Server(app, grace_s=_GRACE_S)
    # Draining begins on a thread of its own.
    lifecycle.on_drain(threadsafe(loop, server.stop))
    announced = loop.create_task(_announce(server, on_ready))
    await server.serve(sockets=[listener])
    announced.cancel()


async def _announce(server: Server, on_ready: Callable[[], None]) -> None:
    await server.listening.wait()
    on_ready()
