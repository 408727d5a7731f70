"""What can be set on the front: one frozen value. It does not decide where the values come from."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path


class FrontConfigError(ValueError):
    """A value that the front refuses to start with."""


@dataclass(frozen=True, kw_only=True)
class FrontConfig:
    """Settings of one front. Sizes are in MiB, times in seconds.

    `body_idle_seconds` bounds the pause between two pieces of a request body, `header_seconds` the time from the
    first byte of a connection to the end of its headers, `send_seconds` how long a client may refuse to read.
    """

    data: Path
    password: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 8123
    user: str = "default"
    access: Path | None = None  # folder of `users.json` and `rights.json`; without it there is one user
    display_name: str = "sluice-embedded"
    max_body_mib: int = 256
    max_inflated_mib: int = 1024  # after decompression; a 200 KB gzip can inflate to 200 MB
    max_header_kib: int = 256  # the statement may be in the URL, so far above what proxies take
    max_buffered_mib: int = 256  # results of formats that cannot stream, before formatting
    max_held_mib: int = 4096  # of one answer with `wait_end_of_query`, on disk
    max_concurrent: int = 32  # statements at once, each holds a thread
    max_connections: int = 1000  # past this a plain 503, before anything is read
    queue_seconds: float = 5.0  # how long a request waits for a free place before 503
    header_seconds: float = 10.0
    body_idle_seconds: float = 30.0
    send_seconds: float = 60.0
    keep_alive_seconds: int = 10
    grace_seconds: float = 20.0
    checkpoint_seconds: float = 30.0  # of the deduplication logs, see `dedup_log`

    def __post_init__(self) -> None:
        if not self.password:
            raise FrontConfigError("refusing to start without a password: any SQL can read files of this host")
        if "?" in str(self.data):
            raise FrontConfigError(f"the data folder's name holds a question mark: {self.data}")
        if not 0 <= self.port <= 65535:
            raise FrontConfigError(f"not a port: {self.port}")
        if self.max_concurrent < 1 or self.max_body_mib < 1:
            raise FrontConfigError("max_concurrent and max_body_mib must be at least 1")

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def max_body_bytes(self) -> int:
        return self.max_body_mib << 20

    @property
    def max_inflated_bytes(self) -> int:
        return self.max_inflated_mib << 20

    @property
    def max_buffered_bytes(self) -> int:
        return self.max_buffered_mib << 20

    @property
    def max_held_bytes(self) -> int:
        return self.max_held_mib << 20
