"""How a starting child is known to be ready: it says so on a socket, or a probe finds out. Never blocks the asker."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable, Mapping

_READY = b"READY=1"
_DATAGRAM_BYTES = 4096
# Shorter only burns CPU that the starting child could use.
_PROBE_INTERVAL_S = 0.1


class NotifyReadiness:
    """The receiving end of sd_notify(3)'s protocol, one socket a start: an earlier child is not heard.

    The socket has no name in the file system: nothing to clean up, and no limit on the depth of the state folder.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)  # noqa: FBT003 (the standard library's signature)
        name = f"sluice-{secrets.token_hex(8)}"
        self._socket.bind(f"\0{name}")
        self.env: Mapping[str, str] = {"NOTIFY_SOCKET": f"@{name}"}
        self._reached = False

    def begin(self) -> None:
        """Nothing to do: the child speaks."""

    def reached(self) -> bool:
        while not self._reached:
            try:
                message = self._socket.recv(_DATAGRAM_BYTES)
            except OSError:  # nothing there, or closed
                break
            self._reached = _READY in message.splitlines()
        return self._reached

    def close(self) -> None:
        self.reached()
        self._socket.close()


class ProbeReadiness:
    """Asks `probe` from a thread of its own until it answers True."""

    def __init__(self, probe: Callable[[], bool]) -> None:
        self.env: Mapping[str, str] = {}
        self._probe = probe
        self._reached = threading.Event()
        self._closed = threading.Event()

    def begin(self) -> None:
        threading.Thread(target=self._ask, name="readiness-probe", daemon=True).start()

    def reached(self) -> bool:
        return self._reached.is_set()

    def close(self) -> None:
        self._closed.set()

    def _ask(self) -> None:
        while not self._closed.is_set():
            if self._probe():
                self._reached.set()
                return
            self._closed.wait(_PROBE_INTERVAL_S)
