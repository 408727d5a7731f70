"""Killed with kill -9 at each of its stages, and anywhere, a replay goes on and ends where any replay ends."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from replay.plans import Plan
from tests.integration.replay_stack import WINDOW, Reader, Replays, Started
from tests.integration.replay_story import SUBJECT, Story

pytestmark = [pytest.mark.stack, pytest.mark.long]
_RUN_POINTS = (
    "replay.before_announce",
    "replay.after_announce",
    "generations.after_claim",
    "generations.after_handover",
    "replay.after_range",
    "generations.after_chunk",
    "replay.after_day",
    "generations.after_verify",
    "replay.before_publish",
    "generations.before_publish",
    "generations.after_publish",
    "replay.after_publish",
)
_ROLLBACK_POINTS = ("generations.rolling_back", "generations.before_rollback", "generations.after_rollback")
_AT_RANDOM = 12


class States:
    """What the days hold before a replay and after it, and how long it took to get from one to the other."""

    def __init__(self, replays: Replays) -> None:
        self.before = replays.content()
        plan = replays.plan(*WINDOW, "--event", SUBJECT)
        started = time.monotonic()
        run = replays.run(plan)
        self.seconds = time.monotonic() - started
        self.after = replays.content()
        assert self.after != self.before
        _taken_back(replays, run.id, self.before)


@pytest.fixture(scope="module")
def states(replays: Replays, story: Story) -> States:
    return States(replays)


@pytest.mark.parametrize("point", _RUN_POINTS)
def test_killed_at_a_stage(replays: Replays, story: Story, states: States, point: str) -> None:
    plan = replays.plan(*WINDOW, "--event", SUBJECT)
    with Reader(replays.server) as reader:
        started = replays.start("run", plan.id, "--why", point, failpoint=f"{point}:kill")
        _finished(replays, story, plan, states, started)
    assert started.process.returncode == -9
    assert reader.seen == Reader.states(story)


@pytest.mark.parametrize("number", range(_AT_RANDOM))
def test_killed_anywhere(replays: Replays, story: Story, states: States, number: int) -> None:
    plan = replays.plan(*WINDOW, "--event", SUBJECT)
    with Reader(replays.server) as reader:
        started = replays.start("run", plan.id, "--why", "killed at random")
        time.sleep(random.Random(number).uniform(0.5, states.seconds))
        started.process.kill()
        _finished(replays, story, plan, states, started)
    assert reader.seen == Reader.states(story)


@pytest.mark.parametrize("point", _ROLLBACK_POINTS)
def test_killed_while_it_is_taken_back(replays: Replays, story: Story, states: States, point: str) -> None:
    run = replays.run(replays.plan(*WINDOW, "--event", SUBJECT))
    with Reader(replays.server) as reader:
        killed = replays.command("rollback", run.id, "--why", point, failpoint=f"{point}:kill")
        assert killed.returncode == -9
        assert replays.content() in (states.before, states.after)
        _taken_back(replays, run.id, states.before)
    assert reader.seen <= Reader.states(story)
    replays.check(story, mended=False)


def test_a_plan_that_is_killed_changes_nothing(replays: Replays, states: States) -> None:
    started = replays.start("plan", *WINDOW)
    time.sleep(states.seconds / 2)
    started.process.kill()
    started.result()
    assert replays.content() == states.before


def _finished(replays: Replays, story: Story, plan: Plan, states: States, started: Started) -> None:
    """A run that was killed shows all or nothing; going on with it ends where any run ends, and can be taken back."""
    started.result()
    assert replays.content() in (states.before, states.after)
    run = replays.run(plan)
    assert (run.state, replays.content()) == ("published", states.after)
    replays.check(story, mended=True)
    _taken_back(replays, run.id, states.before)


def _taken_back(replays: Replays, run: str, before: list[Any]) -> None:
    back = replays.command("rollback", run, "--why", "the next one")
    assert back.returncode == 0, back.stderr
    assert replays.content() == before
