"""uvicorn's server over our connections: the collector's, and that of the small servers beside it.

Of uvicorn it keeps the main loop and the shutdown, which lets what is in progress be answered. Listening is ours, for
the deadlines of TLS, and so are signals: uvicorn's handling would end the process the way the signal does by default.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Generator
from typing import Any

import uvicorn

from collector.bounds import Bounds
from collector.connection import Connection, Take, Waiting
from collector.heads import Heads

# How many connections may wait for the loop.
BACKLOG = 2048
# A client that says good-bye to TLS by silence is not waited for.
_TLS_SHUTDOWN_S = 2.0


class Server(uvicorn.Server):
    """`app` is an ASGI application. When stopped, requests in progress have `grace_s` to end."""

    def __init__(
        self,
        app: Any,
        *,
        take: Take | None = None,
        bounds: Bounds | None = None,
        grace_s: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",  # its start and stop are told by ours
                timeout_graceful_shutdown=grace_s,
            )
        )
        self._app = app
        self._take = take
        self._heads = Heads()
        self.bounds = bounds or Bounds()
        self.waiting = Waiting()
        self.listening = asyncio.Event()
        self._tls = tls

    def stop(self) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()

        def connection() -> Connection:
            return Connection(
                self._app,
                self.server_state,
                loop=loop,
                bounds=self.bounds,
                waiting=self.waiting,
                heads=self._heads,
                take=self._take,
            )

        self.servers = [
            await loop.create_server(
                connection,
                sock=listener,
                backlog=BACKLOG,
                ssl=self._tls,
                ssl_handshake_timeout=self.bounds.head_s if self._tls else None,
                ssl_shutdown_timeout=_TLS_SHUTDOWN_S if self._tls else None,
            )
            for listener in sockets or []
        ]
        self.started = True
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def threadsafe(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> Callable[[], None]:
    """`callback`, to be called from any thread."""

    def call() -> None:
        loop.call_soon_threadsafe(callback)

    return call
