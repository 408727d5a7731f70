"""Where a request comes from when proxies stand between: the address that the outermost trusted one saw.

`X-Forwarded-For` is a list that every proxy adds the address to that it was called from. What stands left of the first
entry that a trusted proxy wrote was written by the client and means nothing.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from core.errors import ConfigError

_REMEMBERED = 8_192
# A client may write as much as a head may hold.
_REMEMBERED_LENGTH = 200
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Proxies:
    """`trusted` is the setting: nothing, how many proxies a request has passed, or their networks with commas.

    Raises:
        ConfigError: it is none of these.
    """

    def __init__(self, trusted: str) -> None:
        self._hops = 0
        self._networks: list[_Network] = []
        if trusted.strip().isdecimal():
            self._hops = int(trusted)
        else:
            self._networks = [_network(part) for part in filter(None, map(str.strip, trusted.split(",")))]
        self.none = not (self._hops or self._networks)
        self._client = lru_cache(_REMEMBERED)(self._found)

    def client(self, peer: str, forwarded_for: str) -> str:
        """The client's address. `peer` is who connected, `forwarded_for` all headers of that name in their order."""
        if self.none or not forwarded_for:
            return peer
        remembered = len(forwarded_for) <= _REMEMBERED_LENGTH
        return self._client(peer, forwarded_for) if remembered else self._found(peer, forwarded_for)

    def _found(self, peer: str, forwarded_for: str) -> str:
        chain = [peer, *map(str.strip, reversed(forwarded_for.split(",")))]  # from us outwards
        return self._by_number(chain) if self._hops else self._by_network(chain)

    def _by_number(self, chain: list[str]) -> str:
        # A request that passed fewer than it should has passed none that can be relied on.
        if len(chain) <= self._hops:
            return chain[0]
        return _address(chain[self._hops]) or chain[0]

    def _by_network(self, chain: list[str]) -> str:
        known = chain[0]
        for entry in chain:
            address = _address(entry)
            if not address:
                break  # what the last trusted proxy was called from is not told
            known = address
            if not self._trusts(address):
                break
        return known

    def _trusts(self, address: str) -> bool:
        parsed = ipaddress.ip_address(address)
        return any(parsed in network for network in self._networks)


def _network(text: str) -> _Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ConfigError(
            f"SLUICE_COLLECTOR_TRUSTED_PROXIES names {text!r}, which is neither a number nor a network",
            hint="For example 1, or 10.0.0.0/8,192.0.2.7",
        ) from error


def _address(entry: str) -> str:
    """An entry of the list without its port; "" for what is no address."""
    if entry.startswith("["):
        entry = entry[1:].partition("]")[0]
    elif entry.count(":") == 1:
        entry = entry.partition(":")[0]
    try:
        parsed = ipaddress.ip_address(entry)
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return str(parsed)
