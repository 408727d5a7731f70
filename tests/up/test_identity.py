"""What a stack keeps between starts, also where an older release began it."""

from __future__ import annotations

import socket
from pathlib import Path

import msgspec
import pytest

from cli.stack import Identity, running
from core.errors import PortInUseError
from core.settings import Settings
from infra import ports


def test_a_folder_of_before_the_registry_gets_a_port_for_it_once(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "version").write_text("format=1\n")
    collector, clickhouse = ports.pick(2)
    (folder / "identity.json").write_text(
        f'{{"collector_port": {collector}, "clickhouse_port": {clickhouse}, '
        '"clickhouse_password": "p", "bootstrap_key": "k"}'
    )
    kept = []
    with socket.create_server((ports.LOOPBACK, collector)):
        for _ in range(2):
            # The start gets as far as the taken port, and no further.
            with pytest.raises(PortInUseError, match="the collector"), running(Settings(state_dir=folder)):
                pass
            kept.append(msgspec.json.decode((folder / "identity.json").read_bytes(), type=Identity))
    assert kept[0] == kept[1]
    assert kept[0].collector_port == collector
    assert kept[0].registry_port not in {0, collector, clickhouse}
