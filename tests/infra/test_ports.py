from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import ConfigError, PortInUseError
from infra import ports


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_picked_ports_differ_are_free_and_are_not_handed_to_outgoing_connections() -> None:
    picked = ports.pick(20)
    assert len(set(picked)) == 20
    first_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in picked:
        assert 1023 < port < max(first_ephemeral, 32_768)
        assert ports.is_free(port)


def test_pick_avoids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "sample", lambda _range, _count: [20_001, 20_002])
    monkeypatch.setattr(ports, "is_free", lambda _port: True)
    assert ports.pick(avoid=frozenset({20_001})) == (20_002,)
    with pytest.raises(PortInUseError):
        ports.pick(3)


def test_a_taken_port_is_refused_by_name_of_its_holder(taken: int) -> None:
    assert not ports.is_free(taken)
    says = rf"port {taken}, which X needs, is in use by pid {os.getpid()} \(.*python"
    with pytest.raises(PortInUseError, match=says) as e:
        ports.require_free(taken, purpose="X", setting="SLUICE_X")
    assert "SLUICE_X" in e.value.hint


def test_a_listener_on_all_interfaces_holds_the_loopback_port_too() -> None:
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free(port)
        assert ports.holder(port) is not None


def test_a_free_port_has_no_holder(taken: int) -> None:
    (port,) = ports.pick()
    ports.require_free(port, purpose="X", setting="SLUICE_X")
    assert ports.holder(port) is None


def test_a_connection_does_not_hold_the_port_it_came_in_by() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
    with client, accepted:
        assert ports.holder(port) is None


def test_connections_waiting_to_time_out_do_not_hold_a_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first is left in TIME_WAIT
        client.close()
    assert ports.is_free(port)


@pytest.mark.parametrize("port", [-1, 0, 65_536, 10**9])
def test_a_number_that_is_no_port(port: int) -> None:
    with pytest.raises(ConfigError, match="not a port number"):
        ports.is_free(port)
