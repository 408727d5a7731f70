"""The network between the parts misbehaves, the parts live: nothing is lost, nothing doubled. The engines are external
ones to this stack, which is how a production stack sees them.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cli.stack import running
from tests.oracle.engines import ProxiedEngines, proxied_engines
from tests.oracle.proxy import Proxy
from tests.oracle.run import run
from tests.oracle.workload import Workload

pytestmark = pytest.mark.stack


def _misbehave(engines: ProxiedEngines) -> None:
    """Every kind of fault once, in turn on both ways, each healed before the next."""
    for on, seconds in ((engines.clickhouse, 1.0), (engines.kafka, 0.6)):
        for faults in (
            {"latency_s": 0.05},
            {"slice_bytes": 700, "latency_s": 0.0005},
            {"bytes_per_s": 200_000},
            {"refuse": True},
            {"half_open": True},
            {"drop_answers": True},
        ):
            on.set(**faults)
            if "refuse" in faults:
                on.reset()
            time.sleep(seconds)
            if "drop_answers" in faults:
                _wait_for_a_dropped_answer(on)
            on.heal()
            time.sleep(0.2)
        on.reset()


def _wait_for_a_dropped_answer(on: Proxy) -> None:
    deadline = time.monotonic() + 15
    while not on.dropped_answers and time.monotonic() < deadline:
        time.sleep(0.05)


def test_every_fault_between_the_parts_is_survived(tmp_path: Path) -> None:
    with proxied_engines(tmp_path) as engines, running(engines.settings) as stack:
        assert [s.name for s in stack.engines.status()] == []
        verdict, report = run(
            stack, workload=Workload(5, 12_000), rate=700, meanwhile=lambda: _misbehave(engines), timeout_s=120
        )
        print(report)
    assert verdict.holds, report
    assert engines.clickhouse.dropped_answers > 0
    assert engines.kafka.dropped_answers > 0
