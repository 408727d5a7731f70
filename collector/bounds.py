"""What a connection may cost: sizes, counts and times. Each with what breaks if it is smaller or larger."""

from __future__ import annotations

import resource
from dataclasses import dataclass

from core.settings import Settings

# Files, Kafka's sockets and the listener need descriptors, too: 36 with a Kafka of one broker, up to 4 more for each
# further one. Fewer and a full house takes them from the spool.
_OTHER_DESCRIPTORS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Sizes in bytes, times in seconds."""

    # From connecting, or from the first byte of a request, to its empty line. Shorter cuts off bad mobile networks.
    head_s: float = 10.0
    # From the empty line to the last byte. Shorter cuts off phones in tunnels (1 MiB at 1 Mbit/s takes 8.4 s).
    body_s: float = 10.0
    # Without a request. Longer than the idle timeout of common load balancers (60 s): otherwise they send into a
    # closing connection.
    idle_s: float = 65.0
    # In which a client must take in what its socket's buffer does not hold. Longer lets slow readers hold memory.
    write_s: float = 10.0
    # For which the rest of a request that was answered early is read and thrown away. A connection closed with unread
    # input is reset, and the client may lose the answer that tells it why.
    linger_s: float = 5.0
    # Request line and headers. Browsers stay below 16 KiB because common proxies refuse more.
    head_bytes: int = 32 * 1024
    headers: int = 100
    # A pixel's events travel in the URL; common servers take 8 KiB.
    url_bytes: int = 8 * 1024
    body_bytes: int = 1024 * 1024
    # Bodies of all connections together that are not complete yet. Less refuses honest bursts, more is memory that
    # slow senders can take.
    waiting_bytes: int = 64 * 1024 * 1024
    connections: int = 10_000


def of(settings: Settings) -> Bounds:
    """The bounds that `settings` name; connections also stay within the descriptors that this process may open."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Bounds(
        body_bytes=settings.collector_max_body_bytes,
        connections=max(1, min(settings.collector_max_connections, descriptors - _OTHER_DESCRIPTORS)),
    )
