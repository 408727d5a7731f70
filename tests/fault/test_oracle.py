"""The oracle on the real stack: faults at every failpoint and at random, then every promise is checked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from cli.stack import running
from core.failpoints import Failpoint
from core.settings import Settings
from tests.oracle.chaos import Chaos
from tests.oracle.run import run
from tests.oracle.workload import Workload

pytestmark = pytest.mark.stack

# Those that are reached all the time. Restatements, and the collector's spool, have tests of their own.
_ELSEWHERE = re.compile(r"(generations|refusals|replay)\.|collector\..*spool")
FAILPOINTS = [name for name in get_args(Failpoint) if not _ELSEWHERE.match(name)]


def _every_failpoint(times: int) -> str:
    """Each place kills its process, a little later in each turn's life so that they do not hide one another."""
    return ",".join(f"{name}:kill@{_turn(name)}*{times}" for name in FAILPOINTS).replace(
        # Reached once per restart with a plan pending, and when idle.
        f"sink.after_verify:kill@{_turn('sink.after_verify')}",
        "sink.after_verify:kill@1",
    )


def _turn(name: str) -> int:
    # On a busy machine a stream worker has all that is left in two batches.
    return 2 if name.startswith("streams.") else 2 + FAILPOINTS.index(name) % 3


def _check(state: Path, *, seed: int, events: int, rate: float, faults: int, times: int) -> str:
    settings = Settings(state_dir=state, failpoint=_every_failpoint(times), limit_client_per_minute=0)
    with running(settings) as stack:
        chaos = Chaos(stack, seed, faults)
        verdict, report = run(stack, workload=Workload(seed, events), chaos=chaos, rate=rate)
        print(report)
        reached = {path.name.rsplit(".", 1)[0] for path in (stack.settings.state_dir / "failpoints").iterdir()}
    assert verdict.holds, report
    assert verdict.obligations == events
    assert reached >= set(FAILPOINTS), f"never reached: {set(FAILPOINTS) - reached}"
    return report


def test_short_profile(tmp_path: Path) -> None:
    _check(tmp_path / "state", seed=20_261, events=30_000, rate=1_200, faults=5, times=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_long_profile(tmp_path: Path, seed: int) -> None:
    report = _check(tmp_path / "state", seed=seed, events=300_000, rate=3_000, faults=30, times=3)
    Path(f"oracle-report-{seed}.txt").write_text(report + "\n", encoding="utf-8")
