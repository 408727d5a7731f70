"""Replay on the real stack: planned, carried out, taken back. The long profile is the whole story, with kills."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cli.ledger import LedgerReader, wait_until_complete
from cli.stack import RunningStack, running
from core.settings import Settings
from replay.plans import Plan, Run
from sinks.clickhouse import ClickHouse
from sinks.recount import differences
from tests.integration.replay_story import BROKEN_DAYS, DAYS, SUBJECT, Story, found

pytestmark = pytest.mark.stack
_SMALL, _LONG = 6_000, 200_000
_WINDOW = ("--from", DAYS[0], "--to", "2026-03-06")


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

    def plan(self, *arguments: str) -> Plan:
        done = self.command("plan", *(arguments or _WINDOW), "--json")
        assert done.returncode == 0, done.stderr
        return msgspec.json.decode(done.stdout, type=Plan)

    def run(self, plan: Plan) -> Run:
        done = self.command("run", plan.id, "--why", "amounts are not whole", "--json")
        assert done.returncode == 0, done.stderr
        return msgspec.json.decode(done.stdout, type=Run)

    def content(self) -> list[Any]:
        """Number and hash of the visible rows of each day of the story; the order of rows does not matter."""
        days = ", ".join(f"'{day}'" for day in DAYS)
        columns = "raw_partition, raw_offset, event_id, event, version, properties, extra, visitor_id"
        return self.server.rows(
            f"SELECT arrival_day, count(), hex(sum(toUInt128(sipHash64({columns})))) FROM events "
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
        reader = LedgerReader(self.stack.settings)
        try:
            wait_until_complete(reader, timeout_s=60)
        finally:
            reader.close()
        _until(lambda: dict(found(self.server)) == story.expected(mended=False))

    def check(self, story: Story, *, mended: bool) -> None:
        """Base and rollups hold what plain arithmetic says, and every rollup equals a recount."""
        expected = story.expected(mended=mended)
        for name, counts in found(self.server):
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

    def result(self) -> subprocess.CompletedProcess[str]:
        out, err = self.process.communicate(timeout=300)
        return subprocess.CompletedProcess(self.process.args, self.process.returncode, out, err)


class Reader:
    """Asks for the totals all along; whatever it saw must be one of the states that there were."""

    def __init__(self, server: ClickHouse) -> None:
        self._server = server
        self.seen: set[tuple[int, int]] = set()
        self.asked = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _look(self) -> None:
        days = ", ".join(f"'{day}'" for day in DAYS)
        while not self._stop.is_set():
            rows, tickets = self._server.rows(
                f"SELECT (SELECT count() FROM events WHERE arrival_day IN ({days})), "
                f"(SELECT sum(events) FROM events_daily WHERE event = '{SUBJECT}' AND day IN ({days}))"
            )[0]
            self.seen.add((rows, int(tickets)))
            self.asked += 1


def _until(condition: Callable[[], bool], *, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def replays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replays]:
    settings = Settings(state_dir=Path(tmp_path_factory.mktemp("replay")) / "state", partitions=2)
    with running(settings) as stack:
        yield Replays(stack)


@pytest.fixture(scope="module")
def story(replays: Replays, request: pytest.FixtureRequest) -> Story:
    """The events sent, judged by the first contract and stored, and the second contract released."""
    told = Story(replays.stack.settings, _LONG if request.config.getoption("--long") else _SMALL)
    told.release(1)
    time.sleep(1)  # the workers take a release between batches
    told.send()
    replays.settle(told)
    told.release(2)
    return told


def test_the_story(replays: Replays, story: Story) -> None:
    before, after = story.expected(mended=False), story.expected(mended=True)
    replays.check(story, mended=False)
    content = replays.content()
    refused = [event for event in story.events if event.refused]

    plan = replays.plan()
    assert plan.accepted == len(refused)
    assert plan.removed == 0
    assert [day.day for day in plan.days if day.accepted] == list(BROKEN_DAYS)
    for day in plan.days:
        assert (day.before, day.after) == (before["rows"][day.day], after["rows"][day.day])
    assert plan.selected == len(story.sent)
    assert replays.content() == content

    with Reader(replays.server) as reader:
        run = replays.run(plan)
        assert run.state == "published"
        assert run.report.accepted == plan.accepted
        assert replays.outcomes()["accepted"] == plan.accepted
        replays.check(story, mended=True)
        mended = replays.content()
        again = replays.run(plan)
        assert again.report == run.report
        assert replays.content() == mended
        assert replays.plan().days == []
        back = replays.command("rollback", run.id, "--why", "to see that it can be undone")
        assert back.returncode == 0, back.stderr
    sums = [(sum(each["rows"].values()), sum(each["tickets"].values())) for each in (before, after)]
    assert replays.outcomes() == {}
    assert reader.asked > 5
    assert reader.seen == set(sums)
    assert replays.content() == content
    replays.check(story, mended=False)


def test_a_cause_is_found_mended_by_a_rule_and_its_dead_letters_come_in(
    replays: Replays, story: Story, tmp_path: Path
) -> None:
    sent = story.events[:40]
    story.send_texts(sent)

    def causes() -> list[dict[str, Any]]:
        done = replays.command("top", "--event", SUBJECT, "--since", "1h", "--json", group="dlq")
        assert done.returncode == 0, done.stderr
        return [msgspec.json.decode(line) for line in done.stdout.splitlines()]

    _until(lambda: [cause["records"] for cause in causes()] == [len(sent)])
    (cause,) = causes()
    assert (cause["code"], cause["path"]) == ("wrong_type", "$.properties.amount")
    shown = replays.command("show", cause["fingerprint"], group="dlq")
    assert '"amount":"' in shown.stdout

    fixed = replays.command(
        "fix", cause["fingerprint"], "--folder", str(tmp_path), "--name", "text-amount", group="dlq"
    )
    assert fixed.returncode == 0, fixed.stderr
    rule = tmp_path / "text-amount" / "1.json"
    assert msgspec.json.decode(rule.read_bytes())["steps"] == [
        {"op": "coerce", "path": "properties.amount", "to": "number"}
    ]
    previewed = replays.command("preview", str(rule), "--from", "1h", "--json", group="dlq")
    preview = msgspec.json.decode(previewed.stdout, type=Plan)
    assert (preview.accepted, preview.changed, preview.removed, preview.shadow) == (len(sent), 0, 0, True)
    refused = replays.command("run", preview.id, "--why", "it is a shadow")
    assert refused.returncode == 65
    assert "not in force" in refused.stderr

    assert replays.command("release", str(rule), group="dlq").returncode == 0
    plan = replays.plan("--fingerprint", cause["fingerprint"], "--from", "1h")
    assert (plan.selected, plan.accepted) == (len(sent), len(sent))
    replays.run(plan)
    ids = "SELECT count() FROM events WHERE event_id LIKE 'text-%'"
    assert replays.server.scalar(ids) == len(sent)
    # Live, too, from the next batch on; and a client's late retry of a repaired event adds nothing.
    story.send_texts(story.events[30:60])
    _until(lambda: replays.server.scalar(ids) >= 60)
    reader = LedgerReader(replays.stack.settings)
    try:
        outcomes = wait_until_complete(reader, timeout_s=60).outcomes
    finally:
        reader.close()
    _until(
        lambda: (
            replays.server.scalar("SELECT uniqExact(raw_partition, raw_offset) FROM events_log WHERE run = ''")
            >= outcomes["curated"]
        )
    )
    assert replays.server.scalar(ids) == 60
    assert replays.command("retire", "text-amount", group="dlq").returncode == 0


_POINTS = [
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
]


def _killed_and_finished(replays: Replays, story: Story, plan: Plan, states: list[Any], started: Started) -> None:
    """A run that was killed shows all or nothing; going on with it ends where any run ends, and can be taken back."""
    started.result()
    assert replays.content() in states
    run = replays.run(plan)
    assert (run.state, replays.content()) == ("published", states[1])
    replays.check(story, mended=True)
    back = replays.command("rollback", run.id, "--why", "the next kill")
    assert back.returncode == 0, back.stderr
    assert replays.content() == states[0]


@pytest.fixture(scope="module")
def states(replays: Replays, story: Story) -> list[Any]:
    """What the days hold before a replay and after it."""
    before = replays.content()
    run = replays.run(replays.plan(*_WINDOW, "--event", SUBJECT))
    after = replays.content()
    assert replays.command("rollback", run.id, "--why", "measured").returncode == 0
    return [before, after]


@pytest.mark.long
def test_killed_in_the_middle_it_goes_on(replays: Replays, story: Story, states: list[Any]) -> None:
    plan = replays.plan(*_WINDOW, "--event", SUBJECT)
    started = replays.start("run", plan.id, "--why", "to be killed", failpoint="generations.after_verify:kill")
    _killed_and_finished(replays, story, plan, states, started)
    assert started.process.returncode == -9


@pytest.mark.long
def test_killed_anywhere_it_goes_on(replays: Replays, story: Story, states: list[Any]) -> None:
    random_ = random.Random(7)
    for point in _POINTS:
        plan = replays.plan(*_WINDOW, "--event", SUBJECT)
        started = replays.start("run", plan.id, "--why", point, failpoint=f"{point}:kill")
        _killed_and_finished(replays, story, plan, states, started)
        assert started.process.returncode == -9, point
    for _ in range(12):
        plan = replays.plan(*_WINDOW, "--event", SUBJECT)
        started = replays.start("run", plan.id, "--why", "killed at random")
        time.sleep(random_.uniform(0.3, 6))
        started.process.kill()
        _killed_and_finished(replays, story, plan, states, started)


@pytest.mark.long
def test_a_run_holds_its_days_and_can_be_cancelled(replays: Replays, story: Story) -> None:
    content = replays.content()
    plan, other = replays.plan(*_WINDOW), replays.plan(*_WINDOW)
    working = replays.start("run", plan.id, "--why", "to be cancelled", failpoint="replay.after_range:stop")
    name = f"replay-{plan.id}"
    marks = replays.stack.settings.state_dir / "failpoints"
    _until(lambda: any("replay.after_range" in mark.name for mark in marks.glob("*")))
    held = replays.command("run", other.id, "--why", "at the same time")
    assert held.returncode == 65
    assert f"the run {name} holds" in held.stderr
    assert replays.command("cancel", name, "--why", "enough").returncode == 0
    working.process.send_signal(signal.SIGCONT)
    done = working.result()
    assert done.returncode == 130, done.stderr
    assert "was cancelled" in done.stderr
    assert msgspec.json.decode(replays.command("show", name, "--json").stdout)["state"] == "cancelled"
    assert replays.content() == content
    late = replays.command("cancel", name, "--why", "again")
    assert (late.returncode, "is cancelled" in late.stderr) == (65, True)


@pytest.mark.long
def test_a_branchs_contracts_are_tried_on_real_traffic(replays: Replays, story: Story, tmp_path: Path) -> None:
    draft = tmp_path / "avro" / SUBJECT / "1.avsc"
    draft.parent.mkdir(parents=True)
    source = {
        "type": "record",
        "name": "TicketBought",
        "namespace": "sluice.events",
        "kind": "event",
        "doc": "A ticket was bought.",
        "fields": [{"name": "amount", "type": "int", "maximum": 40, "pii": "none", "doc": "Price."}],
    }
    draft.write_bytes(msgspec.json.encode(source))
    asked = ("plan", *_WINDOW, "--event", SUBJECT, "--schemas", str(tmp_path), "--json")
    tried = replays.command(*asked, "--fail-above", "99")
    assert tried.returncode == 0, tried.stderr
    plan = msgspec.json.decode(tried.stdout, type=Plan)
    assert plan.shadow
    assert 0.2 < plan.refused_share < 0.5
    assert replays.command(*asked, "--fail-above", "10").returncode == 1


@pytest.mark.long
def test_what_cannot_be_done_is_told(replays: Replays, story: Story, tmp_path: Path) -> None:
    def refused(*arguments: str) -> str:
        done = replays.command(*arguments)
        assert done.returncode == 65, done.stderr
        return done.stderr

    assert "in the future" in refused("plan", "--from", "2999-01-01", "--to", "2999-01-02")
    assert "is empty" in refused("plan", "--from", "2026-03-03", "--to", "2026-03-03")
    assert "no raw record" in refused("plan", "--from", "2020-01-01", "--to", "2020-01-02")
    assert "there is no plan" in refused("run", "nonsense", "--why", "x")
    nothing = replays.plan("--from", DAYS[0], "--to", DAYS[1], "--event", "page_view")
    assert nothing.gaps == []
    assert "changes nothing" in refused("run", nothing.id, "--why", "x")

    plan = replays.plan(*_WINDOW, "--event", SUBJECT)
    story.release(3)
    for version in (1, 2):
        story.release(version, supersededBy=3)
    assert "the contracts have changed" in refused("run", plan.id, "--why", "x")
    everything_refused = replays.plan(*_WINDOW, "--event", SUBJECT)
    assert everything_refused.refused_share == 1.0
    assert "refuse every record" in refused("run", everything_refused.id, "--why", "x")

    page = tmp_path / "plan.html"
    shown = replays.command("show", plan.id, "--html", str(page))
    assert f"plan {plan.id}" in shown.stdout
    assert f"<code>{plan.id}</code>" in page.read_text()
    listed = msgspec.json.decode(replays.command("list", "--json").stdout)
    assert plan.id in [each["id"] for each in listed["plans"]]
    assert replays.command("prune", "--older-than", "0").returncode == 0
    assert msgspec.json.decode(replays.command("list", "--json").stdout)["plans"] == []
