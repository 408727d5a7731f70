"""A listening TCP socket. What an error of it means, and what to do, is told by whoever knows the setting behind it."""

from __future__ import annotations

import socket


def listen_on(host: str, port: int, *, backlog: int, shared: bool = False) -> socket.socket:
    """Port 0 takes a free one. Processes that all ask for it `shared` listen on one port, and the kernel deals
    connections out to them.

    Raises:
        socket.gaierror: `host` is no address.
        OSError: any other reason; EADDRINUSE says that something else listens there.
    """
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, proto)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener
