"""Loopback TCP ports: picking free ones, refusing taken ones by name of their holder. Does not remember any."""

from __future__ import annotations

import random
import socket
from dataclasses import dataclass
from pathlib import Path

from core.errors import ConfigError, PortInUseError
from infra import pids

LOOPBACK = "127.0.0.1"
# Below the range that the kernel hands to outgoing connections: a port from there can be taken by any client while
# the server restarts, and a client that retries it may even connect to itself.
_FIRST = 15_000
_LAST_PORT = 65_535
_TRIES = 200
_LISTEN = "0A"


@dataclass(frozen=True, slots=True)
class Holder:
    pid: int
    command: str


def pick(count: int = 1, *, avoid: frozenset[int] = frozenset()) -> tuple[int, ...]:
    """`count` different ports that nothing uses now. Keep them: a fixed port survives restarts.

    Raises:
        PortInUseError: none was found.
    """
    below = _first_ephemeral()
    picked: list[int] = []
    for port in random.sample(range(_FIRST, below), min(_TRIES, below - _FIRST)):
        if len(picked) == count:
            break
        if port not in avoid and is_free(port):
            picked.append(port)
    if len(picked) < count:
        raise PortInUseError(f"no {count} free ports between {_FIRST} and {below - 1}")
    return tuple(picked)


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` of the loopback interface.

    Raises:
        ConfigError: the number is no port, or is reserved for root.
    """
    if not 0 < port <= _LAST_PORT:
        raise ConfigError(f"{port} is not a port number", hint=f"Ports are 1 to {_LAST_PORT}.")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        # As servers do: connections that are only waiting to time out do not hold a port.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((LOOPBACK, port))
        except PermissionError as error:
            raise ConfigError(f"port {port} is reserved for root", hint="Choose one above 1023.") from error
        except OSError:
            return False
    return True


def require_free(port: int, *, purpose: str, setting: str) -> None:
    """
    Raises:
        PortInUseError: names the port, its holder and the setting that chooses another one.
    """
    if is_free(port):
        return
    found = holder(port)
    by = pids.describe(found.pid) if found else "another process"
    raise PortInUseError(
        f"port {port}, which {purpose} needs, is in use by {by}",
        hint=f"Stop it, or choose another port with {setting}.",
    )


def holder(port: int) -> Holder | None:
    """Who listens on `port`; None if nobody does or it cannot be found out (another user's process, no /proc)."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    targets = {f"socket:[{inode}]" for inode in inodes}
    for fd in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = str(fd.readlink())
        except OSError:
            continue  # closed meanwhile, or not ours to look into
        if target in targets:
            pid = int(fd.parts[2])
            return Holder(pid, pids.command(pid))
    return None


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            # sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode …
            columns = line.split()
            if columns[3] == _LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                found.add(columns[9])
    return found


def _first_ephemeral() -> int:
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        first = 32_768
    return first if first > _FIRST + _TRIES else 32_768
