"""Hosts of addresses, and which of them belong to one site."""

from __future__ import annotations

from publicsuffixlist import PublicSuffixList

# RFC 1035 section 2.3.4. What is longer is no host.
_MAX_HOST = 253
_SCHEMES = frozenset({"https:", "http:", "", "android-app:", "ios-app:"})


def host_of(address: str) -> str:
    """Host of a web address or the name of an app, in lower case, without user, port and final dot.

    Empty if there is none, as in a path, or if it is longer than a host can be.
    """
    scheme, slashes, rest = address.partition("//")
    if not slashes or scheme.lower() not in _SCHEMES:
        return ""
    for end in "/?#\\":
        rest = rest.partition(end)[0]
    host = rest.rpartition("@")[2]
    host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    host = host.strip().lower().rstrip(".")
    return host if len(host) <= _MAX_HOST else ""


class Sites:
    """Which site a host belongs to: the name that somebody registered, by the public suffix list.

    `blog.shop.example` and `shop.example` are one site, `a.co.uk` and `b.co.uk` two, as are `a.github.io` and
    `b.github.io`: the list names hosting companies too. Addresses and names without a dot stand for themselves.
    """

    def __init__(self) -> None:
        self._suffixes = PublicSuffixList()

    def site(self, host: str) -> str:
        if ":" in host or "." not in host or host.rpartition(".")[2].isdigit():
            return host
        return self._suffixes.privatesuffix(host) or host
