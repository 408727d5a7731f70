"""What a replay refuses, what it survives, and what it says of either."""

from __future__ import annotations

import signal
from pathlib import Path

import msgspec
import pytest

from replay.plans import Plan
from tests.integration.replay_stack import WINDOW, Replays, until
from tests.integration.replay_story import DAYS, SUBJECT, Story

pytestmark = pytest.mark.stack


@pytest.mark.long
def test_a_run_holds_its_days_and_can_be_cancelled(replays: Replays, story: Story) -> None:
    content = replays.content()
    plan, other = replays.plan(*WINDOW), replays.plan(*WINDOW)
    working = replays.start("run", plan.id, "--why", "to be cancelled", failpoint="replay.after_range:stop")
    name = f"replay-{plan.id}"
    marks = replays.stack.settings.state_dir / "failpoints"
    until(lambda: any("replay.after_range" in mark.name for mark in marks.glob("*")))
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
    asked = ("plan", *WINDOW, "--event", SUBJECT, "--schemas", str(tmp_path), "--json")
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
    assert "is empty" in refused("plan", "--from", DAYS[1], "--to", DAYS[1])
    assert "no raw record" in refused("plan", "--from", "2020-01-01", "--to", "2020-01-02")
    assert "there is no plan" in refused("run", "nonsense", "--why", "x")
    nothing = replays.plan("--from", DAYS[0], "--to", DAYS[1], "--event", "page_view")
    assert nothing.gaps == []
    assert "changes nothing" in refused("run", nothing.id, "--why", "x")

    plan = replays.plan(*WINDOW, "--event", SUBJECT)
    story.release(3)
    for version in (1, 2):
        story.release(version, supersededBy=3)
    assert "the contracts have changed" in refused("run", plan.id, "--why", "x")
    everything_refused = replays.plan(*WINDOW, "--event", SUBJECT)
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
