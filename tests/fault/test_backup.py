"""A backup made while a sink writes, restored into another database: the sink goes on without a gap or a repeat."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core import control
from core.errors import InputError, StateError
from core.settings import Settings
from sinks import offsets
from sinks.backup import backup, read, restore
from tests.infra.clickhouse.front import Front
from tests.oracle.sink_run import SinkRig, sink_engines, sink_rig

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Front]]:
    with sink_engines(Path(tmp_path_factory.mktemp("backup"))) as running:
        yield running


@pytest.fixture
def rig(engines: tuple[Settings, Front]) -> Iterator[SinkRig]:
    with sink_rig(engines, f"b{time.monotonic_ns()}") as made:
        yield made


def elsewhere(rig: SinkRig) -> Settings:
    return replace(rig.settings, clickhouse_database=f"{rig.settings.clickhouse_database}_restored")


def test_what_was_saved_while_rows_came_goes_on_where_it_ends(rig: SinkRig, tmp_path: Path) -> None:
    control.put(rig.settings, {"note": b"kept"})
    rig.start(sink_batch_rows=100)
    rig.send(2_000, days=2)
    rig.until(lambda: rig.stored() > 500, timeout_s=60, what="some rows")
    manifest = backup(rig.settings, tmp_path / "saved")
    saved = manifest.rows()["events_log"]
    rig.settle()
    rig.send(300)
    rig.settle()
    rig.stop()
    rig.settings = elsewhere(rig)
    done = restore(rig.settings, tmp_path / "saved")
    assert done.rewound, done.why
    assert rig.stored() == saved
    rig.start()
    rig.settle()
    assert rig.problems() == []
    assert 500 < saved <= 2_000


def test_tables_that_are_older_than_the_group_are_told_and_rewound(rig: SinkRig, tmp_path: Path) -> None:
    rig.start()
    rig.send(200)
    rig.settle()
    backup(rig.settings, tmp_path / "saved")
    rig.send(8_000)
    rig.settle()
    rig.stop()
    before = offsets.committed(rig.settings)
    rig.settings = elsewhere(rig)
    restore(rig.settings, tmp_path / "saved")
    offsets.rewind(rig.settings, before)  # as if only the tables had been brought back
    sink = rig.start()
    del rig.sinks["0"]
    deadline = time.monotonic() + 60
    while sink.poll() is None:
        assert time.monotonic() < deadline, rig.log()[-2_000:]
        time.sleep(0.1)
    assert "sluice restore --rewind" in rig.log()
    assert rig.stored() == 200
    offsets.rewind(rig.settings, offsets.stored(rig.settings))
    sink.stop()
    rig.start()
    rig.settle()
    assert rig.problems() == []


def test_other_topics_of_the_same_names_are_told(rig: SinkRig, tmp_path: Path) -> None:
    rig.start()
    rig.send(100)
    rig.settle()
    rig.stop()
    backup(rig.settings, tmp_path / "saved")
    manifest = read(tmp_path / "saved")
    text = (tmp_path / "saved" / "manifest.json").read_text()
    (tmp_path / "saved" / "manifest.json").write_text(text.replace(manifest.topics[rig.topics.curated], "another"))
    rig.settings = elsewhere(rig)
    done = restore(rig.settings, tmp_path / "saved")
    assert (done.rewound, rig.stored()) == (False, 100)
    assert "SLUICE_CLICKHOUSE_DATABASE" in done.why


def test_what_cannot_be_restored_is_refused_before_a_row_is_written(rig: SinkRig, tmp_path: Path) -> None:
    rig.start()
    rig.send(50)
    rig.settle()
    backup(rig.settings, tmp_path / "saved")
    with pytest.raises(StateError, match="not empty"):
        backup(rig.settings, tmp_path / "saved")
    with pytest.raises(StateError, match="holds rows already"):
        restore(rig.settings, tmp_path / "saved")
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="no backup"):
        restore(rig.settings, tmp_path / "none")
    damaged = next((tmp_path / "saved" / "events_log").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-1])
    target = elsewhere(rig)
    with pytest.raises(InputError, match="damaged"):
        restore(target, tmp_path / "saved")
    with pytest.raises(StateError, match="could not be set"):
        offsets.rewind(rig.settings, offsets.stored(rig.settings))
