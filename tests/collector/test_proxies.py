"""Who a request is from: only what trusted proxies wrote counts."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.proxies import Proxies
from core.errors import ConfigError

PEER = "192.0.2.9"
SPOOFED = "203.0.113.66"


@pytest.mark.parametrize(
    ("trusted", "forwarded_for", "client"),
    [
        # Nobody is trusted.
        ("", SPOOFED, PEER),
        ("0", SPOOFED, PEER),
        # By number. What stands left of the last is the client's own invention.
        ("1", "", PEER),
        ("1", "198.51.100.1", "198.51.100.1"),
        ("1", f"{SPOOFED}, 198.51.100.1", "198.51.100.1"),
        ("2", f"{SPOOFED}, 198.51.100.1, 192.0.2.8", "198.51.100.1"),
        ("2", "198.51.100.1", PEER),  # it has gone round a proxy
        ("1", "unknown", PEER),
        ("1", "198.51.100.1,", PEER),
        ("1", "198.51.100.1:4711", "198.51.100.1"),
        ("1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("1", "2001:db8::1", "2001:db8::1"),
        ("1", "::ffff:198.51.100.1", "198.51.100.1"),
        # By network.
        ("192.0.2.0/24", "198.51.100.1", "198.51.100.1"),
        ("192.0.2.0/24", f"{SPOOFED}, 198.51.100.1", "198.51.100.1"),
        ("192.0.2.0/24", f"{SPOOFED}, 198.51.100.1, 192.0.2.8", "198.51.100.1"),
        ("192.0.2.0/24", "192.0.2.7, 192.0.2.8", "192.0.2.7"),  # all of them ours: the outermost
        ("192.0.2.0/24", f"{SPOOFED}, unknown, 192.0.2.8", "192.0.2.8"),
        ("192.0.2.0/24", f"{SPOOFED}, 198.51.100.1, junk", PEER),
        ("10.0.0.0/8", "198.51.100.1", PEER),  # whoever calls is none of them
        ("10.0.0.0/8, 192.0.2.9", "198.51.100.1, 10.1.2.3", "198.51.100.1"),
        ("2001:db8::/32,192.0.2.9", "198.51.100.1, 2001:db8::5", "198.51.100.1"),
    ],
)
def test_only_trusted_entries_count(trusted: str, forwarded_for: str, client: str) -> None:
    assert Proxies(trusted).client(PEER, forwarded_for) == client


@pytest.mark.parametrize("trusted", ["-1", "all", "10.0.0.0/33", "1.5", "10.0.0.1 10.0.0.2"])
def test_what_cannot_be_meant(trusted: str) -> None:
    with pytest.raises(ConfigError, match="SLUICE_COLLECTOR_TRUSTED_PROXIES"):
        Proxies(trusted)


ADDRESS = st.one_of(
    st.ip_addresses(network="198.51.100.0/24").map(str), st.ip_addresses(v=6).map(str), st.just("192.0.2.1")
)
JUNK = st.text(st.characters(max_codepoint=255), max_size=30)


@given(st.lists(st.one_of(ADDRESS, JUNK), max_size=5), ADDRESS.filter(lambda a: not a.startswith("192.0.2.")))
def test_nothing_that_a_client_writes_changes_who_it_is(written: list[str], client: str) -> None:
    """The two proxies 192.0.2.8 and 192.0.2.9 add what they see to whatever was sent."""
    header = ", ".join([*written, client, "192.0.2.8"])
    same = ipaddress.ip_address(client)
    if isinstance(same, ipaddress.IPv6Address) and same.ipv4_mapped:
        return
    assert Proxies("2").client(PEER, header) == str(same)
    assert Proxies("192.0.2.0/24").client(PEER, header) == str(same)
