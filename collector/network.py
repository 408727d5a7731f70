"""The network an event came from: an address cut before anything is written, so that it names no one.

An IPv4 address loses its last 8 bits, an IPv6 address its last 80: what is left tells the place, as well as a whole
address does for a city.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

_BITS_CUT = {4: 8, 6: 80}
_REMEMBERED = 16_384


@lru_cache(_REMEMBERED)
def cut(address: str) -> str:
    """The network of `address`; empty for what is no address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    lost = _BITS_CUT[parsed.version]
    return str(type(parsed)(int(parsed) >> lost << lost))
