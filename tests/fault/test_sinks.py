"""Sinks killed, frozen, doubled and refused, against a real Kafka and a real engine: each record is a row once."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGCONT

import pytest

from core.lanes import Lanes
from core.settings import Settings
from schemas import framing
from schemas.faults import Fault
from schemas.registry import bundled
from sinks.completeness import Completeness, completeness, raw_logs
from streams.records import DeadLetter, Outcome, encode_dead_letter, encode_outcome, runs_of
from tests.infra.clickhouse.front import Front
from tests.oracle.shim import PRELUDE, Shim, shim
from tests.oracle.sink_run import SinkRig, event, sink_engines, sink_rig
from tests.oracle.sink_storm import PLACES, Storm, every_place, kill_in_rename, markers

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Front]]:
    with sink_engines(Path(tmp_path_factory.mktemp("sinks"))) as running:
        yield running


@pytest.fixture
def rig(engines: tuple[Settings, Front]) -> Iterator[SinkRig]:
    with sink_rig(engines, f"r{time.monotonic_ns()}") as made:
        yield made


@pytest.mark.long
@pytest.mark.parametrize("times", [10])
def test_killed_at_every_place(rig: SinkRig, times: int) -> None:
    rig.send(20_000, days=2)
    rig.start(failpoint=every_place(times), sink_batch_rows=200)
    rig.settle(timeout_s=600)
    # Until each place was reached so often, blocks go on coming.
    while markers(rig) < len(PLACES) * times:
        rig.send(50)
        rig.settle()
    assert rig.problems() == []
    assert rig.falls == {"killed by SIGKILL": len(PLACES) * times}


@pytest.mark.parametrize("place", ["sink.after_plan", pytest.param("sink.after_insert", marks=pytest.mark.long)])
def test_frozen_until_another_sink_has_stored_its_block(rig: SinkRig, place: str) -> None:
    """It wakes with an insert in hand that is old, and sends it."""
    rig.send(600)
    frozen = rig.start("a", failpoint=f"{place}:stop@2", sink_batch_rows=50)
    rig.until(lambda: markers(rig), timeout_s=120, what="the stop")
    rig.start("b", sink_batch_rows=50)
    rig.send(200)
    rig.settle()  # by the other one, after the session's end
    frozen.send(SIGCONT)
    rig.until(lambda: "sink.partition_assigned" in rig.log("a").partition("ready")[2], timeout_s=120, what="its return")
    rig.send(200)
    rig.settle()
    assert rig.problems() == []


@pytest.mark.long
def test_two_sinks_send_the_same_block_at_once(rig: SinkRig) -> None:
    """A twin of the same name takes over while the first is on its way between plan and insert."""
    rig.send(400)
    first = rig.start("0", failpoint="sink.after_plan:stop@2")
    rig.until(lambda: markers(rig), timeout_s=120, what="the stop")
    del rig.sinks["0"]
    rig.start("0")
    rig.settle()
    first.send(SIGCONT)
    rig.send(400)
    rig.settle()
    rig.until(lambda: first.poll() is not None, timeout_s=120, what="the end of the one that was replaced")
    first.stop()
    assert rig.problems() == []


def test_it_waits_for_an_engine_that_is_away_when_it_starts(rig: SinkRig) -> None:
    rig.front.kill()
    rig.send(40)
    rig.start()
    try:
        rig.until(lambda: "sink.waits_for_servers" in rig.log(), timeout_s=120, what="that it waits")
    finally:
        rig.front.start()
    rig.settle()
    assert rig.problems() == []
    assert not rig.falls


def corrupt(number: int) -> bytes:
    """A curated record that is cut short."""
    return event(number, random.Random(number), time.time_ns() // 1_000_000, 0)[:-30]


@pytest.mark.parametrize(
    "failpoint",
    ["", pytest.param("refusals.before_commit:kill@3*5,refusals.after_commit:kill@2*5", marks=pytest.mark.long)],
    ids=["", "killed"],
)
def test_rows_that_are_refused_become_dead_letters_and_the_rest_lands(rig: SinkRig, failpoint: str) -> None:
    now_ms = time.time_ns() // 1_000_000
    schema = bundled().get("outcome", 1)
    strange = [b"", None, b"garbage", framing.prefix(schema.id) + b"an outcome", b"\x00\x00\x00\x00\x0b"]
    broken = [corrupt(number) for number in range(2)]
    for value in [*strange, *broken]:
        rig.send(3, partitions=1)
        rig.produce(0, value, now_ms)
    rig.send(40, partitions=1)
    refused = len(strange) + len(broken)
    rig.start(failpoint=failpoint)
    rig.settle()
    rig.until(lambda: rig.server.scalar("SELECT count() FROM dead_letters") == refused, timeout_s=180, what="letters")
    assert rig.problems() == []
    assert rig.server.rows("SELECT DISTINCT code, faults.expected, version FROM dead_letters") == [
        ["refused", ["a row of events_log"], 0]
    ]
    assert len(rig.read(rig.topics.dead_letters)) == refused, "each once, also where the sink was killed"
    assert sum(rig.falls.values()) == markers(rig)
    rig.send(10)
    rig.settle()
    assert rig.problems() == []


def test_records_of_no_day_become_dead_letters_and_the_rest_lands(rig: SinkRig) -> None:
    """A Kafka whose clock is wrong, or that was told to take any timestamp."""
    now_ms = time.time_ns() // 1_000_000
    rig.allow_any_timestamp()
    times = [2**62, 253_402_300_800_000, 5_662_310_400_000]  # no calendar holds, in the year 10000, past the last day
    for number, at in enumerate(times):
        rig.send(5, partitions=1)
        rig.produce(0, event(9_000 + number, random.Random(number), now_ms, 0), at)
        rig.produce(0, event(9_500 + number, random.Random(number), now_ms, 0), at + 1)
    rig.send(5, partitions=1)
    rig.start()
    rig.settle()
    letters = "SELECT count() FROM dead_letters WHERE toDate(arrival_at) >= today() - 1"
    rig.until(lambda: rig.server.scalar(letters) == 2 * len(times), timeout_s=120, what="letters")
    assert rig.server.rows("SELECT DISTINCT code, event != '', raw_offset >= 9000 FROM dead_letters") == [
        ["refused", 1, 1]
    ]
    assert rig.problems() == []
    assert not rig.falls


def test_both_lanes_land_with_their_dead_letters_and_completeness_counts_them(rig: SinkRig) -> None:
    """Of each lane: a record that became a row, one that became a dead letter, one that was there already."""
    lanes, now_ms = Lanes.of(rig.settings), time.time_ns() // 1_000_000
    fault = Fault("missing", "$.name", "text", "nothing")
    for number in lanes.both(1):
        for _ in range(3):
            rig.produce(lanes.home(number), b"a raw record", 0, topic=lanes.topic(number))
        runs = runs_of(range(3), {1: "dead_letter", 2: "duplicate"})
        outcome = Outcome(number, 0, 2, runs, bytes(16), {}, [0])
        letter = DeadLetter(number, 1, now_ms, [fault], b"a raw record")
        rig.produce(number, event(0, random.Random(number), now_ms, number), now_ms)
        rig.produce(number, encode_dead_letter(letter), now_ms, topic=rig.topics.dead_letters)
        rig.produce(number, encode_outcome(outcome), now_ms, topic=rig.topics.outcomes)
    rig.flush()
    logs, now = raw_logs(rig.settings), datetime.now(UTC)

    def found() -> Completeness:
        return completeness(rig.server, logs, lanes=lanes, now=now)

    assert [each.behind for each in found().partitions if each.number in lanes.both(1)] == [3, 3]
    rig.start()
    rig.until(lambda: found().complete, timeout_s=120, what="completeness")
    assert [(each.lane, each.judged_to, each.stored_to) for each in found().partitions if each.end] == [
        ("live", 2, 2),
        ("historic", 2, 2),
    ]
    letters = "SELECT raw_partition, raw_offset FROM dead_letters ORDER BY raw_partition"
    rig.until(lambda: rig.server.rows(letters) == [[n, 1] for n in lanes.both(1)], timeout_s=120, what="dead letters")
    archived = "SELECT lane, raw_partition, count() FROM raw_archive GROUP BY ALL ORDER BY lane"
    rig.until(
        lambda: rig.server.rows(archived) == [["historic", 1, 3], ["live", 1, 3]], timeout_s=120, what="raw records"
    )


# -- a kill inside the engine, between its deduplication record and its rename

# What a server does that is not ours: it keeps the record of a part that never came to be.
_NO_REPAIR = "from infra.clickhouse import dedup_log\ndedup_log.repair = lambda *_, **__: []\n"


@pytest.fixture
def held(engines: tuple[Settings, Front], tmp_path: Path) -> Iterator[tuple[SinkRig, Shim]]:
    """A rig with an engine of its own that can be held in a rename, and that does not repair itself."""
    tool = shim(tmp_path / "shim")
    with (
        Front(tmp_path / "engine", env=tool.env, prelude=PRELUDE + _NO_REPAIR) as front,
        sink_rig((engines[0], front), f"r{time.monotonic_ns()}") as made,
    ):
        yield made, tool


@pytest.mark.parametrize("table", ["events_log", "pages_daily_log"])
def test_a_kill_between_record_and_rename_loses_and_doubles_nothing(held: tuple[SinkRig, Shim], table: str) -> None:
    rig, tool = held
    rig.start()
    rig.send(40, partitions=1)
    rig.settle()
    kill_in_rename(rig, tool, table)
    rig.settle()
    rig.until(lambda: not rig.problems(), timeout_s=180, what="the rollups")
    assert ("sink.rows_missing" in rig.log()) == (table == "events_log"), "its token was dead, so it was found out"
    rig.send(40, partitions=1)
    rig.settle()
    assert rig.problems() == []


# -- everything together


@pytest.mark.long
@pytest.mark.parametrize(
    ("events", "each", "sinks", "fronts", "frozen"),
    [pytest.param(30_000, 1, 3, 2, 1, id="small"), pytest.param(1_000_000, 10, 30, 10, 5, id="large")],
)
def test_long_profile(
    engines: tuple[Settings, Front], tmp_path: Path, events: int, each: int, sinks: int, fronts: int, frozen: int
) -> None:
    """Two sinks are killed `each` times at every place and `sinks` times at random, the engine `fronts` times at random
    and between its record and its rename, in the base and in a view's target; `frozen` sinks wake with an old insert.
    """
    tool, began = shim(tmp_path / "shim"), time.monotonic()
    with (
        Front(tmp_path / "engine", env=tool.env, prelude=PRELUDE) as front,
        sink_rig((engines[0], front), f"r{time.monotonic_ns()}", sink_batch_rows=2_000) as rig,
    ):
        storm = Storm(rig, tool, random.Random(1), each)
        storm.run(events, sinks=sinks, fronts=fronts, frozen=frozen)
        # Short rollups are rebuilt beside the work.
        rig.until(lambda: not storm.differences(), timeout_s=120, what=f"base and rollups: {storm.differences()[:3]}")
        time.sleep(3)
        differences = storm.differences()
        kills = f"{markers(rig)} kills at {len(PLACES)} places, {dict(storm.struck)}"
        logs = rig.log("a") + rig.log("b")
        found = {event: logs.count(event) for event in ("sink.rows_missing", "sink.rollups_differ", "sink.day_healed")}
        print(f"\n{rig.sent:,} events; {kills}; {found}; {differences}; {time.monotonic() - began:.0f} s")
        assert differences == []
        assert (markers(rig), sum(storm.struck.values())) == (len(PLACES) * each, sinks + fronts + frozen + 2)
        assert [*rig.falls] == ["killed by SIGKILL"]
