"""Stream workers killed, frozen, replaced and doubled under load: every raw record still has its one outcome."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.settings import Settings
from tests.oracle.disturbances import KINDS, Kind, schedule
from tests.oracle.fleet import Fleet
from tests.oracle.raw_load import RawWorkload
from tests.oracle.stream_run import SEVERAL, Result, embedded_kafka, prefixed, run

pytestmark = pytest.mark.stack

_PLANTED = Path(__file__).parents[1] / "oracle" / "planted"
# How long a partition may stand still after one kill or freeze: the session has to end (6 s) and the transaction that
# its worker left open (11 s, from its begin), then another worker reads the outcomes.
_RECOVERY_S = 15.0
# Places at which a worker stops or dies in the midst of a transaction, later in each life than the one before.
_FAILPOINTS = (
    "",
    "",
    "streams.before_commit:stop@60*99",
    "streams.before_commit:kill@40*99",
    "streams.after_commit:kill@50*99",
)


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with embedded_kafka(Path(tmp_path_factory.mktemp("workers")) / "kafka") as settings:
        yield settings


def _holds(result: Result) -> None:
    print(result.report)
    assert result.verdict.holds, result.report


def test_short_profile(kafka: Settings) -> None:
    kinds: list[Kind] = ["kill", "kill", "short freeze", "long freeze", "replaced", "away", "twin"]
    disturbances = schedule(20_146, kinds, between_s=(1.0, 2.5))
    with Fleet(prefixed(kafka, "short"), 20_146) as fleet:
        result = run(fleet, RawWorkload(20_146, 40_000), disturbances, rate=3_000)
    _holds(result)
    assert len(fleet.faults) >= len(kinds)
    assert result.seen["taken over by another worker"]


def test_a_worker_that_wakes_within_its_transaction_is_waited_for(kafka: Settings) -> None:
    """It froze between sending its offsets and its records: its group gave its partitions away, and nothing in the
    topics tells that its transaction is open. When it wakes, it commits.
    """
    plant = str(_PLANTED / "sends_late")
    with Fleet(prefixed(kafka, "late"), plant=plant, stop_s=(8.3, 8.3)) as fleet:
        fleet.add(failpoint="streams.before_commit:stop@1")
        fleet.add()
        result = run(fleet, RawWorkload(1, 5_000), workers=0, rate=1_000)
    _holds(result)
    assert [fault.kind for fault in fleet.faults] == ["stop at a failpoint"]


def test_a_batch_that_never_arrives_is_consumed_again(kafka: Settings) -> None:
    # Small batches: what is lost must not be all there is.
    settings = replace(prefixed(kafka, "batches"), streams_batch_events=500)
    with Fleet(settings, plant=str(_PLANTED / "loses_batches")) as fleet:
        result = run(fleet, RawWorkload(1, 5_000), workers=1, rate=1_000, patience_s=30.0)
    _holds(result)
    assert result.seen["streams.batch_missing"]


def test_an_unexpected_exception_ends_the_worker_and_loses_nothing(kafka: Settings) -> None:
    settings = replace(prefixed(kafka, "fails"), streams_batch_events=500)
    with Fleet(settings, plant=str(_PLANTED / "fails_once")) as fleet:
        result = run(fleet, RawWorkload(1, 5_000), workers=1, rate=1_000, patience_s=60.0)
        ends = [text for _, text in fleet.log if "exit" in text or "code" in text]
    _holds(result)
    assert [fault.kind for fault in fleet.faults] == ["end by itself"]
    assert result.seen["streams.batch_failed"] == 1
    assert any("70" in text for text in ends), fleet.log


def test_fausts_own_command_runs_a_worker(kafka: Settings) -> None:
    settings = prefixed(kafka, "faust")
    faust = str(Path(sys.executable).with_name("faust"))
    argv = (faust, "-A", "streams.app", "worker", "-l", "info", "--without-web")
    with Fleet(settings, argv=argv) as fleet:
        result = run(fleet, RawWorkload(1, 2_000), workers=1, rate=2_000, patience_s=60.0)
        (worker,) = fleet.workers
        worker.child.stop()
    _holds(result)
    assert worker.child.poll() == 0


@pytest.mark.parametrize(
    ("plant", "caught"),
    [
        ("drops_last_records", {"lost", "unaccounted"}),
        pytest.param("forgets_window", {"doubled", "misjudged"}, marks=pytest.mark.long),
    ],
)
def test_planted_bugs_are_caught(kafka: Settings, plant: str, caught: set[str]) -> None:
    with Fleet(prefixed(kafka, plant), plant=str(_PLANTED / plant)) as fleet:
        killed = schedule(1, ["kill"], between_s=(3.0, 3.0))  # when something is committed also on a busy machine
        result = run(fleet, RawWorkload(1, 16_000, repeat_share=0.2), killed, workers=1, rate=4_000, patience_s=12.0)
    print(result.report)
    assert set(result.verdict.problems()) >= caught


@pytest.mark.long
@pytest.mark.parametrize("seed", [1])
def test_long_profile(kafka: Settings, seed: int) -> None:
    kinds: list[Kind] = [*(KINDS * 6), *(["kill", "long freeze"] * 5)]  # type: ignore[list-item]
    disturbances = schedule(seed, kinds, between_s=(0.2, 14.0))
    rate = 1_000_000 / disturbances[-1].at_s
    with Fleet(prefixed(kafka, f"long{seed}"), seed, failpoints=_FAILPOINTS) as fleet:
        result = run(fleet, RawWorkload(seed, 1_000_000), disturbances, rate=rate)
    Path(f"stream-workers-report-{seed}.txt").write_text(result.report + "\n", encoding="utf-8")
    _holds(result)
    alone = {kind: longest for kind, longest in result.recovery_s.items() if kind != SEVERAL}
    assert max(alone.values(), default=0.0) <= _RECOVERY_S, result.report
