"""Addresses are cut before anything is written."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.network import cut


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("::1", "::"),
        ("2001:db8:1:2:3::4", "2001:db8:1::"),
        ("::ffff:10.1.2.3", "10.1.2.0"),
        ("fe80::1%eth0", "fe80::"),
        ("example.org", ""),
        ("10.1.2.3.4", ""),
        ("", ""),
    ],
)
def test_networks(address: str, network: str) -> None:
    assert cut(address) == network


@given(st.ip_addresses())
def test_what_is_left_is_the_same_for_the_whole_network(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    network = cut(str(address))
    assert cut(network) == network
    assert cut(str(address + (1 if int(address) % 2 == 0 else -1))) == network
