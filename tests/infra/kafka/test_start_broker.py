"""What runs before the broker does, with shell commands in the place of both. `test_broker.py` has the real ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from infra.kafka import start_broker

USED, CLEAN = "recovery-point-offset-checkpoint", ".kafka_cleanshutdown"
ACTIVE = "echo Performing controller activation.; "
FENCES = "echo Fencing broker 1 at epoch 3; "
WRITTEN = "echo 'operation maybeFenceStaleBroker(9) immediately because the purgatory is empty.'; "
CHECKS = f"while sleep 0.1; do {WRITTEN}done"


def run(folder: Path, fence: str) -> list[str]:
    command = [sys.executable, "-IS", start_broker.__file__, str(folder), "sh", "-c", fence, "--", "echo", "broker"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert not done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("there", [[], [USED, CLEAN]], ids=["new", "ended in order"])
def test_the_broker_alone(tmp_path: Path, there: list[str]) -> None:
    for name in there:
        (tmp_path / name).touch()
    assert run(tmp_path, f"touch {tmp_path}/fenced") == ["broker"]
    assert not (tmp_path / "fenced").exists()


@pytest.mark.parametrize(
    ("fence", "told"),
    [
        (f"{ACTIVE}{FENCES}{WRITTEN}exec sleep 60", "was fenced"),
        (f"{ACTIVE}{FENCES}{WRITTEN}trap '' TERM; while :; do sleep 0.1; done", "was fenced"),
        (f"{ACTIVE}{WRITTEN}{CHECKS}", "has no session"),
    ],
    ids=["fenced", "does not end when asked", "fenced before"],
)
def test_a_broker_that_was_killed_is_fenced_first(tmp_path: Path, fence: str, told: str) -> None:
    (tmp_path / USED).touch()
    said, broker = run(tmp_path, fence)
    assert said.startswith(f"the broker that did not end in order {told}, ")
    assert broker == "broker"


def test_what_cannot_be_fenced_is_told_and_started(tmp_path: Path) -> None:
    (tmp_path / USED).touch()
    said, why, broker = run(tmp_path, "echo no memory; exit 1")
    assert said.startswith("the broker that did not end in order could not be fenced")
    assert (why, broker) == ("no memory", "broker")


def test_it_waits_until_the_fence_is_written(tmp_path: Path) -> None:
    (tmp_path / USED).touch()
    run(tmp_path, f"{ACTIVE}{WRITTEN}{FENCES}sleep 0.5; touch {tmp_path}/waited; {WRITTEN}exec sleep 60")
    assert (tmp_path / "waited").exists()


def test_a_busy_controller_is_given_time() -> None:
    told = start_broker.Told()
    settled = b"maybeFenceStaleBroker(7) immediately because the purgatory is empty.\n"
    told.hear(b"Performing controller activation.\n" + settled + b"x" * 300, at=1.0)
    told.hear(b"other lines\n", at=9.0)
    assert told.done == ""
    told.hear(settled[:30], at=9.1)
    told.hear(settled[30:], at=9.2)
    assert told.done == "has no session"
