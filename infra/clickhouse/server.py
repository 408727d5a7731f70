"""Runs one front from lock to exit: `serve(config)` returns the process's exit code.

Order of the way in: folder lock, port, engine, accept. Order of the way out: stop accepting, let running statements
finish for `grace_seconds`, kill what is left, close the engine, checkpoint, unlock. A second SIGTERM or SIGINT leaves
at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Generator
from types import FrameType
from typing import Final

import uvicorn

from core.errors import StateError
from infra.clickhouse import exit_codes
from infra.clickhouse.access.readers import Readers
from infra.clickhouse.access.rights import FILE_NAME as RIGHTS_FILE
from infra.clickhouse.access.rights import Rights
from infra.clickhouse.access.rights import read as read_rights
from infra.clickhouse.app import FrontApp
from infra.clickhouse.config import FrontConfig
from infra.clickhouse.connection_deadlines import protocol_class
from infra.clickhouse.dedup_log import Checkpoint
from infra.clickhouse.engine import Engine
from infra.clickhouse.execute import Executor
from infra.clickhouse.folder_lock import FolderLock, FolderLockedError
from infra.clickhouse.opening import EngineDidNotOpenError, open_engine
from infra.clickhouse.sessions import Sessions

log = logging.getLogger(__name__)

# Between KILL and the end of what was killed; the engine looks at its flag between blocks.
_KILL_SECONDS: Final = 3.0


class PortInUseError(Exception):
    pass


def serve(config: FrontConfig) -> int:
    """Blocks until a signal ends it. Says in one sentence on standard error why it did not start."""
    try:
        with FolderLock(config.data), listening(config) as listener:
            rights = read_rights(config.access / RIGHTS_FILE) if config.access is not None else None
            engine = open_engine(config.data, rights=rights)
            _run(config, engine, listener, rights)
    except FolderLockedError as error:
        return _say(error, exit_codes.FOLDER_LOCKED)
    except StateError as error:
        return _say(error, exit_codes.USAGE)
    except PortInUseError as error:
        return _say(error, exit_codes.PORT_IN_USE)
    except EngineDidNotOpenError as error:
        return _say(f"the engine did not open {config.data}: {error}", exit_codes.INTERNAL)
    except OSError as error:
        return _say(f"cannot use {config.data} or {config.host}:{config.port}: {error}", exit_codes.INTERNAL)
    return exit_codes.OK


@contextlib.contextmanager
def listening(config: FrontConfig) -> Generator[socket.socket]:
    """Bound before the engine opens, because a port in use must not cost a start; uvicorn listens once it is open."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    # The protocol is named because asyncio turns off Nagle's algorithm (40 ms a request) only where it is.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((config.host, config.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUseError(
                    f"port {config.port} on {config.host} is in use; stop what listens there or choose another port"
                ) from error
            raise
        yield listener


class _Server(uvicorn.Server):
    """uvicorn with our signals: the first ends it gracefully, the second at once, neither is raised again."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            host, port = listener.getsockname()[:2]
            log.info("clickhouse.ready", extra={"host": host, "port": port})

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        # Never given back: the second signal must work until the engine is closed.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        yield

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.should_exit:
            os._exit(exit_codes.INTERRUPTED)
        log.info("clickhouse.stopping", extra={"signal": signal.Signals(number).name})
        self.should_exit = True


def _run(config: FrontConfig, engine: Engine, listener: socket.socket, rights: Rights | None) -> None:
    sessions = Sessions(engine.link)
    checkpoint = Checkpoint(config.data)
    try:
        executor = Executor(engine, sessions, config, readers=Readers(engine, rights) if rights is not None else None)
        asyncio.run(_serve(config, executor, sessions, checkpoint, listener))
    finally:
        engine.close()
        checkpoint.take(settled=True)
        log.info("clickhouse.stopped")


async def _serve(
    config: FrontConfig, executor: Executor, sessions: Sessions, checkpoint: Checkpoint, listener: socket.socket
) -> None:
    app = FrontApp(executor, config)
    protocol = protocol_class(header_seconds=config.header_seconds, max_header_bytes=config.max_header_kib << 10)
    server = _Server(
        uvicorn.Config(
            app,
            http=protocol,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=config.max_connections,
            timeout_keep_alive=config.keep_alive_seconds,
            timeout_graceful_shutdown=max(1, round(config.grace_seconds)),
        )
    )
    upkeep = asyncio.create_task(_upkeep(config, sessions, checkpoint))
    if not config.is_loopback:
        log.warning("clickhouse.not_loopback", extra={"host": config.host})
    try:
        await server.serve(sockets=[listener])
    finally:
        upkeep.cancel()
        if not await app.idle(seconds=0):
            await asyncio.to_thread(executor.kill_all)
            if not await app.idle(seconds=_KILL_SECONDS):
                # A statement that ignores its flag would keep the engine from closing: closing is not worth a hang.
                log.warning("clickhouse.statements_left_behind")
                checkpoint.take()
                os._exit(exit_codes.OK)
        app.close()
        sessions.close()


async def _upkeep(config: FrontConfig, sessions: Sessions, checkpoint: Checkpoint) -> None:
    while True:
        await asyncio.sleep(config.checkpoint_seconds)
        try:
            await asyncio.to_thread(checkpoint.take)
        except OSError as error:
            # An older checkpoint only makes the next start look at more records.
            log.warning("clickhouse.checkpoint_failed", extra={"reason": str(error)})
        await asyncio.to_thread(sessions.sweep)


def _say(problem: object, code: int) -> int:
    sys.stderr.write(f"clickhouse front: {problem}\n")
    return code
