"""A backup made while a sink writes, restored into another database: the sink goes on without a gap or a repeat."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from core import control, kafka
from core.errors import ExitCode, InputError, StateError
from core.settings import Settings
from core.topics import declared
from infra import topics
from sinks import offsets
from sinks.backup import writing
from sinks.backup.manifest import read
from sinks.backup.restoring import restore
from sinks.backup.writing import backup
from sinks.clickhouse import ClickHouse
from sinks.generations.handover import SinkPlans
from sinks.generations.record import Record
from sinks.offsets import GapError
from sinks.rebuild import rebuild
from sinks.source import identify
from tests.oracle.sink_run import SinkRig, sink_engines, sink_rig

pytestmark = pytest.mark.stack

_BEFORE, _ALL = 2_500, 4_000  # events


@dataclass(frozen=True, slots=True)
class Saved:
    """A rig whose sinks are stopped, and a backup made while one wrote. `ended` are the offsets of its end."""

    rig: SinkRig
    folder: Path
    ended: dict[str, dict[int, int]]

    def elsewhere(self, name: str) -> Settings:
        """An empty database beside the one that was saved."""
        return replace(self.rig.settings, clickhouse_database=f"{self.rig.settings.clickhouse_database}_{name}")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Saved]:
    folder = Path(tmp_path_factory.mktemp("backup"))
    with sink_engines(folder / "engines") as running, sink_rig(running, f"b{time.monotonic_ns()}") as rig:
        control.put(rig.settings, {"note": b"kept", "other": b"removed"})
        control.put(rig.settings, {"other": None})
        rig.send(_BEFORE, days=2)
        rig.start(sink_batch_rows=100)
        rig.settle()
        plans, days = SinkPlans(rig.settings), rig.server.rows("SELECT DISTINCT toString(arrival_day) FROM events")
        rebuild(rig.server, days[0], run="before", plans=plans)

        def on_step(step: str) -> None:
            """Rows and a generation that come while rows are saved are not among those that were noted."""
            if step.startswith("events_log/") and not Record(rig.server).of_run("meanwhile"):
                rig.send(_ALL - _BEFORE)
                rig.until(lambda: rig.stored() > _BEFORE, timeout_s=120, what="rows while others are saved")
                rebuild(rig.server, days[0], run="meanwhile", plans=plans)

        backup(rig.settings, folder / "saved", on_step=on_step)
        rig.settle()
        rig.stop()
        yield Saved(rig, folder / "saved", offsets.committed(rig.settings))


@pytest.mark.long
def test_it_goes_on_where_it_ends_and_older_tables_are_told(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    rig, manifest = replace(saved.rig), read(saved.folder)
    rig.settings = saved.elsewhere("restored")
    done = restore(rig.settings, saved.folder)
    assert (done.trouble, done.control) == (None, 0)
    assert _BEFORE / 2 < rig.stored() == sum(manifest.offsets[rig.topics.curated].values()) <= _BEFORE
    assert {topic: offsets.committed(rig.settings)[topic] for topic in manifest.offsets} == manifest.offsets
    # As if only the tables had been brought back.
    offsets.rewind(rig.settings, saved.ended)
    before, sink = rig.stored(), rig.start("late")
    deadline = time.monotonic() + 60
    while sink.poll() is None:
        assert time.monotonic() < deadline, rig.log("late")[-2_000:]
        time.sleep(0.1)
    assert "sluice restore --rewind" in rig.log("late")
    assert (sink.poll(), rig.stored()) == (ExitCode.STATE, before)
    offsets.rewind(rig.settings, offsets.stored(rig.settings))
    rig.settle()
    monkeypatch.setattr(offsets, "_EMPTY_S", 0.0)
    with pytest.raises(StateError, match=r"sinks run: .*late"):
        offsets.rewind(rig.settings, saved.ended)
    assert rig.problems() == []
    rig.stop()


def test_what_cannot_be_restored_is_refused_before_a_row_is_written(saved: Saved, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="not empty"):
        backup(saved.rig.settings, saved.folder)
    with pytest.raises(StateError, match="holds rows already"):
        restore(saved.rig.settings, saved.folder)
    with pytest.raises(InputError, match="no backup"):
        restore(saved.rig.settings, tmp_path)
    for name in ("control.jsonl", next(each.path for each in read(saved.folder).files)):
        whole = (saved.folder / name).read_bytes()
        (saved.folder / name).write_bytes(whole[:-1])
        with pytest.raises(InputError, match="damaged"):
            restore(saved.elsewhere("damaged"), saved.folder)
        (saved.folder / name).write_bytes(whole)
    text = (saved.folder / "manifest.json").read_text()
    later = tmp_path / "later"
    later.symlink_to(saved.folder)  # read by name
    (saved.folder / "manifest.json").write_text(text.replace('"migrations": [', '"migrations": [9999,'))
    with pytest.raises(StateError, match="9999"):
        restore(saved.elsewhere("later"), later)
    (saved.folder / "manifest.json").write_text(text)


@pytest.mark.long
def test_large_rows_are_parted(saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_BYTES", 400_000)
    manifest = backup(saved.rig.settings, tmp_path / "saved")
    files = [each for each in manifest.files if each.table == "events_log"]
    assert len(files) > 8
    assert max(each.rows for each in files) < 1_000
    restore(saved.elsewhere("parted"), tmp_path / "saved")
    server = ClickHouse(saved.elsewhere("parted"))
    assert server.scalar("SELECT count() FROM events") == saved.rig.stored() == _ALL
    assert saved.rig.server.scalar("SELECT count() FROM events_log") == manifest.rows()["events_log"] > _ALL


def test_records_that_kafka_has_deleted_are_told_and_left_out_only_if_that_is_accepted(saved: Saved) -> None:
    settings, topic = saved.elsewhere("gap"), saved.rig.topics.abuse
    for _ in range(3):
        saved.rig.produce(0, b"an entry", time.time_ns() // 1_000_000, topic=topic)
    saved.rig.flush()
    admin = AdminClient(kafka.common(settings))
    admin.delete_records([TopicPartition(topic, 0, 2)])[TopicPartition(topic, 0)].result(10)
    with pytest.raises(GapError, match=rf"{topic}, partition 0: 0 to 1") as caught:
        offsets.rewind(settings, {topic: {0: 0}})
    assert "--accept-gaps" in caught.value.hint
    done = restore(settings, saved.folder)
    assert isinstance(done.trouble, GapError)
    (gap,) = offsets.rewind(settings, offsets.stored(settings), accept_gaps=True)
    assert (gap.first, gap.last, offsets.committed(settings)[topic]) == (0, 1, {0: 2})


def test_new_topics_of_the_same_names_are_told_by_all_and_get_the_control_entries(saved: Saved) -> None:
    admin = AdminClient(kafka.common(saved.rig.settings))
    names = [each.name for each in declared(saved.rig.settings)]
    for future in admin.delete_topics(names).values():
        future.result(10)
    settings = saved.elsewhere("new")
    deadline = time.monotonic() + 30
    while set(names) & set(admin.list_topics(timeout=10).topics):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    topics.apply(settings)
    done = restore(settings, saved.folder)
    assert done.control == 1
    assert isinstance(done.trouble, StateError)
    assert "SLUICE_CLICKHOUSE_DATABASE" in done.trouble.hint
    assert ClickHouse(settings).scalar("SELECT count() FROM events") > _BEFORE / 2
    with pytest.raises(StateError, match="another topic"):
        identify(settings, ClickHouse(settings), [saved.rig.topics.curated])
