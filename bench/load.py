"""Load on an HTTP server from another process, pinned to the other core: `python -m bench.load`, or wrk where it is.

Closed loop: each connection sends its next request when its answer is there, which finds the highest rate. Open loop
(`--rate`): requests have a time at which they are due, whether the last is answered or not, and latency counts from
that time, so that a server that stalls cannot hide it (what wrk leaves out).
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
import uvloop

from bench.pinning import pinned


class Load(msgspec.Struct):
    """Latencies in milliseconds. `failed` are answers that are no 200."""

    requests: int
    failed: int
    seconds: float
    p50_ms: float
    p99_ms: float


WRK = shutil.which("wrk")
_LUA = """
local requests, at = {}, 0
init = function()
  local file = io.open("%s", "rb")
  while true do
    local size = file:read(8)
    if not size then break end
    requests[#requests + 1] = file:read(tonumber(size))
  end
end
request = function() at = at %% #requests + 1; return requests[at] end
done = function(summary, latency)
  io.stderr:write(string.format("%%d %%d %%d %%d %%d", summary.requests, summary.errors.status, summary.duration,
    latency:percentile(50), latency:percentile(99)))
end
"""


def write_requests(path: Path, requests: Sequence[bytes]) -> None:
    """Each behind its length in eight characters, for both generators."""
    path.write_bytes(b"".join(b"%8d%s" % (len(request), request) for request in requests))


def run(
    requests: Path, *, port: int, connections: int, seconds: float, core: int, rate: float = 0.0, own: bool = False
) -> Load:
    """Send them in turns for `seconds`; 0 for `rate` is as fast as it goes."""
    if WRK and not own and not rate:
        return _wrk(requests, port=port, connections=connections, seconds=seconds, core=core)
    command = [
        sys.executable,
        "-m",
        "bench.load",
        str(requests),
        "--port",
        str(port),
        "--connections",
        str(connections),
    ]
    command += ["--seconds", str(seconds), "--core", str(core), "--rate", str(rate)]
    done = subprocess.run(command, check=True, capture_output=True)
    return msgspec.json.decode(done.stdout, type=Load)


def _wrk(requests: Path, *, port: int, connections: int, seconds: float, core: int) -> Load:
    script = requests.with_suffix(".lua")
    script.write_text(_LUA % requests, encoding="utf-8")
    command = [str(WRK), "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "20s", "--latency"]
    done = subprocess.run(
        [*command, "-s", str(script), f"http://127.0.0.1:{port}"],
        check=True,
        capture_output=True,
        text=True,
        preexec_fn=lambda: pinned(core),
    )
    sent, failed, took_us, p50_us, p99_us = map(float, done.stderr.split())
    return Load(int(sent), int(failed), took_us / 1e6, p50_us / 1e3, p99_us / 1e3)


class _Client(asyncio.Protocol):
    def __init__(self, generator: _Generator) -> None:
        self._generator = generator
        self._received = b""
        self.transport: asyncio.Transport
        self.due = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def send(self, request: bytes, due: float) -> None:
        self.due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        data = self._received + data if self._received else data
        head = data.find(b"\r\n\r\n")
        at = data.find(b"content-length: ", 0, head)
        if head < 0 or len(data) < head + 4 + int(data[at + 16 : data.find(b"\r", at)]):
            self._received = data
            return
        self._received = b""
        self._generator.answered(self, ok=data[9:12] == b"200")


class _Generator:
    def __init__(self, requests: list[bytes], *, rate: float, seconds: float) -> None:
        self._requests = requests
        self._interval = 1 / rate if rate else 0.0
        self._seconds = seconds
        self._sent = self._failed = 0
        self._times: list[float] = []
        self._idle: deque[_Client] = deque()
        self._next_due = self._started = self._until = 0.0

    async def run(self, *, port: int, connections: int) -> Load:
        loop = asyncio.get_running_loop()
        clients = []
        for _ in range(connections):
            _, client = await loop.create_connection(lambda: _Client(self), "127.0.0.1", port)
            clients.append(client)
        self._started = self._next_due = time.perf_counter()
        self._until = self._started + self._seconds
        self._idle.extend(clients)
        if self._interval:
            while time.perf_counter() < self._until:
                self._send_due()
                await asyncio.sleep(0.001)
        else:
            while self._idle:
                self._send(self._idle.popleft(), time.perf_counter())
            await asyncio.sleep(self._seconds)
        took = time.perf_counter() - self._started
        await asyncio.sleep(0.5)
        for client in clients:
            client.transport.abort()
        times = sorted(self._times)
        p50, p99 = (times[int(len(times) * share)] * 1000 if times else 0.0 for share in (0.5, 0.99))
        return Load(len(times), self._failed, took, p50, p99)

    def answered(self, client: _Client, *, ok: bool) -> None:
        now = time.perf_counter()
        self._times.append(now - client.due)
        self._failed += not ok
        if now >= self._until:
            return
        if self._interval:
            self._idle.append(client)
            self._send_due()
        else:
            self._send(client, now)

    def _send_due(self) -> None:
        now = time.perf_counter()
        while self._idle and self._next_due <= now:
            self._send(self._idle.popleft(), self._next_due)
            self._next_due += self._interval

    def _send(self, client: _Client, due: float) -> None:
        client.send(self._requests[self._sent % len(self._requests)], due)
        self._sent += 1


def _read(path: Path) -> list[bytes]:
    data, found, at = path.read_bytes(), [], 0
    while at < len(data):
        size = int(data[at : at + 8])
        found.append(data[at + 8 : at + 8 + size])
        at += 8 + size
    return found


@click.command()
@click.argument("requests", type=click.Path(path_type=Path, exists=True))
@click.option("--port", type=int, required=True)
@click.option("--connections", type=int, default=64)
@click.option("--seconds", type=float, default=10.0)
@click.option("--rate", type=float, default=0.0)
@click.option("--core", type=int, default=1)
def main(*, requests: Path, port: int, connections: int, seconds: float, rate: float, core: int) -> None:
    """Prints what it found as JSON."""
    pinned(core)
    generator = _Generator(_read(requests), rate=rate, seconds=seconds)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(generator.run(port=port, connections=connections))
    click.echo(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    main()
