"""What tests of replays share: the commands on a stack, a reader that looks all along, the long and the short story."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from cli.ledger import LedgerReader, wait_until_complete
from cli.stack import RunningStack
from core.errors import UnavailableError
from replay.plans import Plan, Run
from sinks.clickhouse import ClickHouse
from sinks.recount import differences
from tests.integration.replay_story import AFTER, DAYS, SUBJECT, Story, found

WINDOW = ("--from", DAYS[0], "--to", AFTER)
_SMALL, _LONG = 6_000, 200_000


def told(replays: Replays, request: pytest.FixtureRequest, *, size: int = 0) -> Story:
    """The events sent, judged by the first contract and stored, and the second contract released."""
    story = Story(replays.stack.settings, size or (_LONG if request.config.getoption("--long") else _SMALL))
    story.release(1)
    time.sleep(1)  # the workers take a release between batches
    story.send()
    replays.settle(story)
    story.forget(0.4)
    story.release(2)
    return story


class Replays:
    """The commands, as a user gives them."""

    def __init__(self, stack: RunningStack) -> None:
        self.stack = stack
        self.server = ClickHouse(stack.settings)

    def command(self, *arguments: str, failpoint: str = "", group: str = "replay") -> subprocess.CompletedProcess[str]:
        return self.start(*arguments, failpoint=failpoint, group=group).result()

    def start(self, *arguments: str, failpoint: str = "", group: str = "replay") -> Started:
        environment = os.environ | {"SLUICE_STATE_DIR": str(self.stack.settings.state_dir)}
        if failpoint:
            environment["SLUICE_FAILPOINT"] = failpoint
        return Started([sys.executable, "-m", "cli", group, *arguments], environment)

    def frozen(self, point: str, *arguments: str) -> Started:
        """A command that stands still at the failpoint `point`; `Started.thaw` lets it go on."""
        marks = self.stack.settings.state_dir / "failpoints"
        for mark in marks.glob(f"{point}.*"):
            mark.unlink()
        started = self.start(*arguments, failpoint=f"{point}:stop")
        until(lambda: any(marks.glob(f"{point}.*")) or started.process.poll() is not None)
        assert started.process.poll() is None, started.result().stderr
        return started

    def state_of(self, run: str) -> str:
        done = self.command("show", run, "--json")
        assert done.returncode == 0, done.stderr
        return msgspec.json.decode(done.stdout, type=Run).state

    def take_back(self, run: Run) -> None:
        done = self.command("rollback", run.id, "--why", "the next test")
        assert done.returncode == 0, done.stderr

    def plan(self, *arguments: str) -> Plan:
        done = self.command("plan", *(arguments or WINDOW), "--json")
        assert done.returncode == 0, done.stderr
        return msgspec.json.decode(done.stdout, type=Plan)

    def run(self, plan: Plan) -> Run:
        done = self.command("run", plan.id, "--why", "amounts are not whole", "--json")
        assert done.returncode == 0, done.stderr
        return msgspec.json.decode(done.stdout, type=Run)

    def content(self) -> list[Any]:
        """Number and hash of the visible rows of each day of the story; the order of rows does not matter."""
        days = ", ".join(f"'{day}'" for day in DAYS)
        return self.server.rows(
            "SELECT arrival_day, count(), hex(sum(toUInt128(sipHash64(* EXCEPT (generation, run))))) FROM events "
            f"WHERE arrival_day IN ({days}) GROUP BY 1 ORDER BY 1"
        )

    def outcomes(self) -> dict[str, int]:
        """Superseding outcomes in force; `accepted` are those of records that had no row before."""
        rows = self.server.rows(
            "SELECT multiIf(outcome != 'curated', outcome, was = 'curated', 'curated', 'accepted'), count() "
            "FROM restated_outcomes GROUP BY 1"
        )
        return dict(rows)

    def settle(self, story: Story) -> None:
        """Wait until what was sent is stored, rollups too: they follow the base a moment later."""
        outcomes = self.judged()
        expected = story.expected(mended=False)
        until(lambda: found(self.server) == expected)
        stored = [sum(outcomes.values()), sum(outcomes.values()), outcomes["dead_letter"]]
        until(
            lambda: (
                self.server.rows(
                    "SELECT (SELECT count() FROM raw_archive), (SELECT sum(arraySum(runs.count)) FROM outcomes), "
                    "(SELECT count() FROM dead_letters)"
                )
                == [stored]
            )
        )

    def judged(self) -> dict[str, int]:
        """Wait until the streams are done with every raw record; the number of all outcomes by kind."""
        reader = LedgerReader(self.stack.settings)
        try:
            return dict(wait_until_complete(reader, timeout_s=120).outcomes)
        finally:
            reader.close()

    def check(self, story: Story, *, mended: bool) -> None:
        """Base and rollups hold what plain arithmetic says, and every rollup equals a recount."""
        expected = story.expected(mended=mended)
        for name, counts in found(self.server).items():
            assert counts == expected[name], name
        for day, generation in self.server.rows(
            "SELECT DISTINCT arrival_day, generation FROM events_log WHERE (arrival_day, generation) NOT IN "
            "(SELECT arrival_day, generation FROM hidden_generations)"
        ):
            assert list(differences(self.server, day, generation)) == []


class Started:
    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def thaw(self) -> subprocess.CompletedProcess[str]:
        """Let it go on, and wait for its end."""
        self.process.send_signal(signal.SIGCONT)
        return self.result()

    def result(self) -> subprocess.CompletedProcess[str]:
        out, err = self.process.communicate(timeout=300)
        return subprocess.CompletedProcess(self.process.args, self.process.returncode, out, err)


class Reader:
    """Asks for the totals all along; whatever it saw must be one of the states that there were."""

    def __init__(self, server: ClickHouse, *, patient: bool = False) -> None:
        """A `patient` one asks again where it gets no answer."""
        self._server = server
        self._patient = patient
        self.seen: set[tuple[int, int, int]] = set()  # rows, tickets and events by the hour
        self.asked = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._failure: BaseException | None = None

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        if self._failure is not None:
            raise self._failure

    def _look(self) -> None:
        days = ", ".join(f"'{day}'" for day in DAYS)
        try:
            while not self._stop.is_set():
                try:
                    self._ask(days)
                except UnavailableError:
                    if not self._patient:
                        raise
                    time.sleep(0.1)
        except Exception as error:  # noqa: BLE001 (told by the thread that waits for this one)
            self._failure = error

    def _ask(self, days: str) -> None:
        rows, tickets, hourly = self._server.rows(
            f"SELECT (SELECT count() FROM events WHERE arrival_day IN ({days})), "
            f"(SELECT sum(events) FROM events_daily WHERE event = '{SUBJECT}' AND day IN ({days})), "
            f"(SELECT sum(events) FROM events_hourly WHERE toDate(hour) IN ({days}))"
        )[0]
        self.seen.add((int(rows), int(tickets), int(hourly)))
        self.asked += 1

    @staticmethod
    def states(story: Story) -> set[tuple[int, int, int]]:
        """What there is to see: before and after."""
        both = (story.expected(mended=False), story.expected(mended=True))
        return {(each["rows"].total(), each["tickets"].total(), each["hours"].total()) for each in both}


def until(condition: Callable[[], bool], *, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
