"""A test of the test: the oracle catches the bugs it exists for, and only these."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from cli.stack import RunningStack, running
from core.settings import Settings
from tests.oracle.judge import Verdict
from tests.oracle.run import run
from tests.oracle.workload import Workload

pytestmark = pytest.mark.stack

_ROOT = Path(__file__).parents[2]
_PLANTED = _ROOT / "tests" / "oracle" / "planted"
_EVENTS = 6_000


def _plant(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    folder = _PLANTED / name
    assert (folder / "sitecustomize.py").is_file()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(_ROOT)]))


def _judge(stack: RunningStack, **options: object) -> Verdict:
    verdict, report = run(stack, workload=Workload(3, _EVENTS), rate=1_500, patience_s=12.0, **options)  # type: ignore[arg-type]
    print(report)
    return verdict


def test_an_acknowledgement_before_kafkas_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _plant(monkeypatch, "acknowledges_early")
    with running(Settings(state_dir=tmp_path / "state", limit_client_per_minute=0)) as stack:

        def meanwhile() -> None:
            for _ in range(3):
                time.sleep(0.5)
                stack.engines.freeze("kafka")
                time.sleep(0.4)
                stack.flow.kill("collector")
                stack.engines.thaw("kafka")

        verdict = _judge(stack, meanwhile=meanwhile)
    assert verdict.lost
    assert not verdict.doubled
    assert not verdict.invented


@pytest.mark.long  # a minute; the other two show in less that the oracle sees what is lost
def test_offsets_committed_before_the_insert_are_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _plant(monkeypatch, "commits_before_insert")
    with running(
        Settings(state_dir=tmp_path / "state", limit_client_per_minute=0, failpoint="sink.after_plan:kill@3*2")
    ) as stack:
        # The sink finds its table short of what it had committed, and refuses to go on: it never gets ready again.
        verdict = _judge(stack, ready_s=10.0)
    assert verdict.lost
    assert not verdict.doubled


def test_dedupe_ids_of_an_aborted_transaction_are_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _plant(monkeypatch, "keeps_aborted_ids")
    with running(Settings(state_dir=tmp_path / "state", limit_client_per_minute=0)) as stack:
        verdict = _judge(stack)
    assert verdict.lost
    assert not verdict.doubled


@pytest.mark.long
def test_aborted_transactions_alone_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault that the last bug needs to show is survived without the bug."""
    _plant(monkeypatch, "aborts_now_and_then")
    with running(Settings(state_dir=tmp_path / "state", limit_client_per_minute=0)) as stack:
        verdict = _judge(stack)
        log = (stack.settings.state_dir / "logs" / "streams.log").read_text()
    assert verdict.holds, verdict.problems()
    assert "streams.batch_aborted" in log
