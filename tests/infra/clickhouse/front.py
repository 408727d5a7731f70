"""A front in its own process, as a test sees it: start, ask, stop, kill."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

PASSWORD = "correct horse"
REPOSITORY = Path(__file__).resolve().parents[3]
Body = bytes | str | Iterable[bytes]
_START_SECONDS = 30.0
# The command line has few options; deadlines of a fraction of a second are for tests only.
_LAUNCH = """
import json, logging, os, sys
from pathlib import Path
from infra.clickhouse.config import FrontConfig
from infra.clickhouse.server import serve
class Everything(logging.Formatter):
    def format(self, record):
        own = {k: v for k, v in vars(record).items() if k not in vars(logging.makeLogRecord({}))}
        return f"{super().format(record)} {own}"
handler = logging.StreamHandler()
handler.setFormatter(Everything())
logging.basicConfig(level=logging.INFO, handlers=[handler])
options = json.loads(sys.argv[1])
options.update({name: Path(options[name]) for name in ("data", "access") if name in options})
os._exit(serve(FrontConfig(**options)))
"""


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def code(self) -> int:
        """The engine's error code; 0 for none."""
        return int(self.headers.get("x-clickhouse-exception-code", "0"))

    @property
    def summary(self) -> dict[str, int]:
        return {name: int(value) for name, value in json.loads(self.headers["x-clickhouse-summary"]).items()}


@dataclass
class Front:
    data: Path
    options: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)  # besides ours
    prelude: str = ""  # program text that runs before the front
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()

    @property
    def log(self) -> str:
        return self._log_path.read_text(errors="replace")

    @property
    def _log_path(self) -> Path:
        return self.data.with_name(self.data.name + ".log")

    def start(self, *, wait: bool = True) -> None:
        self.port = self.port or free_port()
        options = {"data": str(self.data), "password": PASSWORD, "port": self.port, **self.options}
        with self._log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", self.prelude + _LAUNCH, json.dumps(options)],
                cwd=REPOSITORY,
                stdout=log,
                stderr=log,
                env=os.environ | self.env,
            )
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        assert self.process is not None
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            assert self.process.poll() is None, f"the front ended: {self.log}"
            try:
                if self.get("/ping").status == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"not ready after {_START_SECONDS} s: {self.log}")

    def stop(self, *, seconds: float = 30.0) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def get(self, target: str, *, headers: dict[str, str] | None = None, method: str = "GET") -> Reply:
        return self._ask(method, target, None, headers or {})

    def post(
        self, body: Body = b"", *, query: str = "", headers: dict[str, str] | None = None, **parameters: object
    ) -> Reply:
        """As `curl` would: the statement in the URL, in the body or in both. Pieces of a body go out one by one."""
        return self._post(body, query, headers or {}, parameters)

    def _post(self, body: Body, query: str, headers: Mapping[str, str], parameters: Mapping[str, object]) -> Reply:
        own = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": PASSWORD, **headers}
        values = {**({"query": query} if query else {}), **parameters}
        data = body.encode() if isinstance(body, str) else body
        return self._ask("POST", "/?" + urlencode(values), data, own)

    def rows(self, query: str, **parameters: object) -> list[list[str]]:
        """The result as text; fails with the engine's words."""
        reply = self._post(query, "", {}, parameters)
        assert reply.status == 200, reply.text
        return [line.split("\t") for line in reply.text.splitlines()]

    def value(self, query: str, **parameters: object) -> str:
        return self.rows(query, **parameters)[0][0]

    def connection(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def _ask(self, method: str, target: str, body: bytes | Iterable[bytes] | None, headers: dict[str, str]) -> Reply:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            client.request(method, target, body, headers)
            response = client.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            client.close()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def eventually(check: Any, *, seconds: float = 10.0) -> None:
    """Until `check` is true; fails when it never becomes so."""
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.05)
