"""Collectors and their broker killed and frozen under load: every 2xx is in the raw topic, as it was sent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from core.failpoints import Failpoint
from infra.supervisor import Supervisor
from tests.oracle.chaos import Chaos
from tests.oracle.collector_run import Result, doors, engine, run
from tests.oracle.workload import Workload

pytestmark = pytest.mark.stack

_PLANTED = Path(__file__).parents[1] / "oracle" / "planted"
_FAILPOINTS = [name for name in get_args(Failpoint) if re.match(r"collector\.(?!.*publish)", name)]


Kafka = tuple[str, Supervisor]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    with engine(tmp_path_factory.mktemp("kafka")) as running:
        yield running


def _every_failpoint(times: int) -> str:
    return ",".join(f"{name}:kill@{3 + index}*{times}" for index, name in enumerate(_FAILPOINTS))


def _profile(
    kafka: Kafka,
    folder: Path,
    *,
    seed: int,
    events: int,
    rate: float,
    faults: tuple[int, int],
    pause: float,
    times: int,
    workers: int,
) -> tuple[Result, set[str]]:
    """`faults` of the broker and of the collectors, at the same time; `pause` is the longest one between two."""
    failpoint = _every_failpoint(times)
    with doors(kafka, folder, prefix=f"seed{seed}", failpoint=failpoint, collector_workers=workers) as stack:
        victims = [status.name for status in stack.flow.status()]
        of_broker = Chaos(
            stack, seed, faults[0], between_s=(0.8, pause), freeze_share=0.6, freeze_s=(1.0, 3.0), victims=["kafka"]
        )
        of_collectors = Chaos(
            stack, seed + 1, faults[1], between_s=(0.3, pause), freeze_share=0.3, freeze_s=(0.2, 2.0), victims=victims
        )
        result = run(stack, Workload(seed, events, secret_share=0.1), chaos=[of_broker, of_collectors], rate=rate)
        reached = {path.name.rsplit(".", 1)[0] for path in (folder / "failpoints").iterdir()}
    print(result.report)
    assert result.verdict.holds, result.report
    assert result.verdict.obligations == events
    assert result.seen["spool.adopted"], "no collector had to take over what another left"
    assert result.verdict.receipts["spool"]
    assert result.verdict.receipts[f"seed{seed}.raw"]
    assert result.faults.total() == sum(faults)
    return result, reached


def test_short_profile(kafka: Kafka, tmp_path: Path) -> None:
    _profile(kafka, tmp_path / "s", seed=20_268, events=6_000, rate=1_500, faults=(2, 4), pause=1.5, times=1, workers=1)


@pytest.mark.parametrize("plant", ["promises_unwritten", pytest.param("forgets_unsent", marks=pytest.mark.long)])
def test_planted_bugs_are_caught(kafka: Kafka, tmp_path: Path, plant: str) -> None:
    failpoint = "collector.before_spool_acknowledge:kill@2*2"
    with doors(kafka, tmp_path / "s", prefix=plant, plant=str(_PLANTED / plant), failpoint=failpoint) as stack:
        of_broker = Chaos(stack, 1, 1, between_s=(0.5, 0.6), freeze_share=1.0, freeze_s=(3.0, 3.0), victims=["kafka"])
        of_collector = Chaos(stack, 2, 2, between_s=(1.2, 1.4), freeze_share=0.0, victims=["collector"])
        # What this bug keeps in memory never comes to rest, so patience is short.
        result = run(stack, Workload(3, 3_000), chaos=[of_broker, of_collector], rate=1_000, patience_s=3.0)
    print(result.report)
    assert result.verdict.lost
    assert not result.verdict.invented
    assert not result.verdict.changed


@pytest.mark.long
@pytest.mark.parametrize(("seed", "workers"), [(1, 1), (2, 2)])
def test_long_profile(kafka: Kafka, tmp_path: Path, seed: int, workers: int) -> None:
    result, reached = _profile(
        kafka,
        tmp_path / "s",
        seed=seed,
        events=300_000,
        rate=2_500,
        faults=(20, 30),
        pause=10.0,
        times=3,
        workers=workers,
    )
    assert reached >= set(_FAILPOINTS)
    Path(f"collectors-report-{seed}.txt").write_text(result.report + "\n", encoding="utf-8")
