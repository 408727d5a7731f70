"""Sinks killed, frozen, doubled and refused, against a real Kafka and a real engine: each record is a row once."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import pytest

from core.settings import Settings
from schemas import framing
from schemas.registry import bundled
from tests.infra.clickhouse.front import Front
from tests.oracle.shim import PRELUDE, Shim, shim
from tests.oracle.sink_run import SinkRig, event, sink_engines, sink_rig

pytestmark = pytest.mark.stack

# Before and after each step of a block.
PLACES = ("sink.before_plan", "sink.after_plan", "sink.after_insert", "sink.after_verify", "sink.after_commit")


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Front]]:
    with sink_engines(Path(tmp_path_factory.mktemp("sinks"))) as running:
        yield running


@pytest.fixture
def rig(engines: tuple[Settings, Front]) -> Iterator[SinkRig]:
    with sink_rig(engines, f"r{time.monotonic_ns()}") as made:
        yield made


def every_place(times: int) -> str:
    """Verification is reached by a sink that finds a plan only; elsewhere the first block goes through."""
    return ",".join(f"{p}:kill*{times}" if p == "sink.after_verify" else f"{p}:kill@2*{times}" for p in PLACES)


def markers(rig: SinkRig) -> int:
    return len(list((rig.settings.state_dir / "failpoints").glob("*")))


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
    rig.until(lambda: markers(rig), timeout_s=30, what="the stop")
    rig.start("b", sink_batch_rows=50)
    rig.send(200)
    rig.settle()  # by the other one, after the session's end
    frozen.send(SIGCONT)
    rig.until(lambda: "sink.partition_assigned" in rig.log("a").partition("ready")[2], timeout_s=60, what="its return")
    rig.send(200)
    rig.settle()
    assert rig.problems() == []


@pytest.mark.long
def test_two_sinks_send_the_same_block_at_once(rig: SinkRig) -> None:
    """A twin of the same name takes over while the first is on its way between plan and insert."""
    rig.send(400)
    first = rig.start("0", failpoint="sink.after_plan:stop@2")
    rig.until(lambda: markers(rig), timeout_s=30, what="the stop")
    del rig.sinks["0"]
    rig.start("0")
    rig.settle()
    first.send(SIGCONT)
    rig.send(400)
    rig.settle()
    rig.until(lambda: first.poll() is not None, timeout_s=30, what="the end of the one that was replaced")
    first.stop()
    assert rig.problems() == []


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


def _kill_in_rename(rig: SinkRig, tool: Shim, table: str) -> None:
    """Send a block and kill the engine while it renames what it wrote into `table`."""
    (uuid,) = rig.server.rows(
        "SELECT uuid FROM system.tables WHERE database = currentDatabase() AND name = {table:String}", table=table
    )[0]
    tool.hold(uuid)
    rig.send(40, partitions=1)
    rig.until(lambda: tool.held, timeout_s=60, what="the rename")
    rig.front.kill()
    tool.release()
    rig.front.start()


@pytest.mark.parametrize("table", ["events_log", "pages_daily_log"])
def test_a_kill_between_record_and_rename_loses_and_doubles_nothing(held: tuple[SinkRig, Shim], table: str) -> None:
    rig, tool = held
    rig.start()
    rig.send(40, partitions=1)
    rig.settle()
    _kill_in_rename(rig, tool, table)
    rig.settle()
    rig.until(lambda: not rig.problems(), timeout_s=30, what="the rollups")
    assert ("sink.rows_missing" in rig.log()) == (table == "events_log"), "its token was dead, so it was found out"
    rig.send(40, partitions=1)
    rig.settle()
    assert rig.problems() == []


# -- everything together


@pytest.mark.long
@pytest.mark.parametrize("seed", [1])
def test_long_profile(engines: tuple[Settings, Front], tmp_path: Path, seed: int) -> None:
    """1,000,000 events; two sinks killed at every place ten times and at random thirty, frozen, the engine killed ten
    times at random and twice between its record and its rename.
    """
    tool, random_ = shim(tmp_path / "shim"), random.Random(seed)
    with (
        Front(tmp_path / "engine", env=tool.env, prelude=PRELUDE) as front,
        sink_rig((engines[0], front), f"r{time.monotonic_ns()}", sink_batch_rows=2_000) as rig,
    ):
        rig.seed = seed
        for name in ("a", "b"):
            rig.start(name, failpoint=every_place(10))
        strikes = ["sink"] * 30 + ["front"] * 10 + ["freeze"] * 5 + ["events_log", "sessions_log"]
        random_.shuffle(strikes)
        for turn in range(200):
            rig.send(5_000, days=1)
            if strikes and turn % 4 == 0:
                _strike(rig, tool, strikes.pop(), random_)
            rig.until(lambda turn=turn: rig.stored() >= (turn - 8) * 5_000, timeout_s=300, what="the pace")  # type: ignore[misc]
        for strike in strikes:
            _strike(rig, tool, strike, random_)
        rig.settle(timeout_s=600)
        while markers(rig) < len(PLACES) * 10:
            rig.send(200)
            rig.settle(timeout_s=300)
        rig.until(lambda: not rig.problems(), timeout_s=60, what=f"base and rollups: {rig.problems()[:3]}")
        report = f"{rig.sent:,} events; {dict(rig.falls)}; {markers(rig)} kills at failpoints"
        print(report)
        assert rig.problems() == []


def _strike(rig: SinkRig, tool: Shim, what: str, random_: random.Random) -> None:
    if what == "sink":
        rig.sinks[random_.choice(["a", "b"])].kill()
    elif what == "front":
        time.sleep(random_.random())
        rig.front.kill()
        rig.front.start()
    elif what == "freeze":
        child = rig.sinks[random_.choice(["a", "b"])]
        child.send(SIGSTOP)
        rig.send(2_000)
        time.sleep(random_.uniform(0.5, 9))
        child.send(SIGCONT)
    else:
        _kill_in_rename(rig, tool, what)
