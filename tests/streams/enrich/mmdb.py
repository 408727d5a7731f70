"""Writes tiny MaxMind DB files (format 2.0, IPv4, 24-bit records), after the public specification of the format."""

from __future__ import annotations

import ipaddress
from typing import Any

_MARKER = b"\xab\xcd\xefMaxMind.com"
_BUILD_EPOCH = 1_780_000_000
# Types as the format numbers them. The library written in C insists on those of the metadata.
_STRING, _UINT16, _UINT32, _MAP, _UINT64, _ARRAY = 2, 5, 6, 7, 9, 11


def mmdb(records: dict[str, dict[str, Any]], *, kind: str = "GeoLite2-City") -> bytes:
    """A database that knows `records` by network, e.g. {"192.0.2.0/24": {"country": {"iso_code": "AT"}}}."""
    nodes: list[list[tuple[str, int] | None]] = [[None, None]]
    data = b""
    for network, record in records.items():
        where = ipaddress.IPv4Network(network)
        bits = f"{int(where.network_address):032b}"[: where.prefixlen]
        at = 0
        for bit in map(int, bits[:-1]):
            following = nodes[at][bit]
            if following is None:
                nodes.append([None, None])
                following = nodes[at][bit] = ("node", len(nodes) - 1)
            at = following[1]
        nodes[at][int(bits[-1])] = ("data", len(data))
        data += _encoded(record)
    tree = b"".join(_target(target, len(nodes)).to_bytes(3, "big") for node in nodes for target in node)
    metadata = {
        "binary_format_major_version": (_UINT16, 2),
        "binary_format_minor_version": (_UINT16, 0),
        "build_epoch": (_UINT64, _BUILD_EPOCH),
        "database_type": kind,
        "description": {"en": "for tests"},
        "ip_version": (_UINT16, 4),
        "languages": ["en"],
        "node_count": (_UINT32, len(nodes)),
        "record_size": (_UINT16, 24),
    }
    return tree + bytes(16) + data + _MARKER + _encoded(metadata)


def _target(target: tuple[str, int] | None, nodes: int) -> int:
    if target is None:
        return nodes
    kind, at = target
    return at if kind == "node" else nodes + 16 + at


def _encoded(value: Any) -> bytes:
    match value:
        case str():
            text = value.encode()
            return _control(_STRING, len(text)) + text
        case dict():
            return _control(_MAP, len(value)) + b"".join(_encoded(key) + _encoded(each) for key, each in value.items())
        case list():
            return _control(_ARRAY, len(value)) + b"".join(map(_encoded, value))
        case (int(type_), int(number)):
            digits = number.to_bytes((number.bit_length() + 7) // 8, "big")
            return _control(type_, len(digits)) + digits
    raise TypeError(value)


def _control(type_: int, size: int) -> bytes:
    length, more = (size, b"") if size < 29 else (29, bytes([size - 29]))  # up to 284
    if type_ <= 7:
        return bytes([type_ << 5 | length]) + more
    return bytes([length, type_ - 7]) + more
