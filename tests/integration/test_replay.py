"""Replay on the real stack: planned, carried out, taken back. The long profile is the whole story."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from replay.plans import Plan
from tests.integration.replay_stack import Reader, Replays, until
from tests.integration.replay_story import BROKEN_DAYS, BROKEN_SHARE, SUBJECT, Story

pytestmark = pytest.mark.stack


def test_the_story(replays: Replays, story: Story) -> None:
    before, after = story.expected(mended=False), story.expected(mended=True)
    replays.check(story, mended=False)
    content = replays.content()
    for day in BROKEN_DAYS:
        assert before["rows"][day] == pytest.approx(after["rows"][day] * (1 - BROKEN_SHARE), rel=0.05)

    plan = replays.plan()
    _is_what_the_story_says(plan, story)
    assert replays.content() == content

    with Reader(replays.server) as reader:
        run = replays.run(plan)
        assert run.state == "published"
        replays.check(story, mended=True)
        _became_what_was_planned(replays, plan)
        assert (run.report.accepted, run.report.changed, run.report.removed) == (plan.accepted, plan.changed, 0)
        assert [(d.day, d.before, d.after) for d in run.report.days] == [(d.day, d.before, d.after) for d in plan.days]
        mended = replays.content()
        again = replays.run(plan)
        assert again.report == run.report
        assert replays.content() == mended
        assert replays.plan().days == []
        _retried_too_late(replays, story)
        assert replays.content() == mended
        back = replays.command("rollback", run.id, "--why", "to see that it can be undone")
        assert back.returncode == 0, back.stderr
    assert replays.outcomes() == {}
    assert reader.asked > 5
    assert reader.seen == Reader.states(story)
    assert replays.content() == content
    replays.check(story, mended=False)
    _was_told(replays, run.id)


def _is_what_the_story_says(plan: Plan, story: Story) -> None:
    """Every figure of the plan follows from what was sent."""
    before, after = story.expected(mended=False), story.expected(mended=True)
    tickets = [event for event in story.events if not event.page_view]
    refused = [event for event in tickets if event.refused]
    assert (plan.gaps, plan.behind) == ([], 0)
    assert plan.selected == plan.from_kafka + plan.from_archive == len(story.sent)
    assert plan.from_archive == pytest.approx(len(story.sent) * 0.4, abs=story.settings.partitions)
    assert (plan.accepted, plan.removed) == (len(refused), 0)
    assert plan.changed == len(tickets) - len(refused)
    assert plan.unchanged == len(story.events) - len(tickets)
    assert plan.still == plan.duplicates == len(story.sent) - len(story.events)
    assert [day.day for day in plan.days if day.accepted] == list(BROKEN_DAYS)
    for day in plan.days:
        assert (day.before, day.after) == (before["rows"][day.day], after["rows"][day.day])
        assert day.accepted == sum(event.day == day.day for event in refused)
    sums = {each.rollup: (each.before, each.after) for each in plan.rollups}
    for rollup, name in (("events_daily", "rows"), ("sessions", "in sessions"), ("pages_daily", "pages")):
        assert sums[rollup] == (sum(before[name].values()), sum(after[name].values())), rollup


def _became_what_was_planned(replays: Replays, plan: Plan) -> None:
    """The rows, the outcomes and each rollup are what the plan said, to the event."""
    rows = replays.server.rows(
        "SELECT arrival_day, count(), countIf(run != '') FROM events WHERE arrival_day IN {days:Array(Date)} "
        "GROUP BY arrival_day ORDER BY arrival_day",
        days=[day.day for day in plan.days],
    )
    assert rows == [[day.day, day.after, day.accepted + day.changed] for day in plan.days]
    assert replays.outcomes() == {
        "accepted": plan.accepted,
        "curated": plan.changed + plan.unchanged,
        "duplicate": plan.duplicates,
    }
    for each in plan.rollups:
        total = "events" if each.rollup.startswith(("events", "sessions")) else "views"
        held = replays.server.scalar(
            f"SELECT sum({total}) FROM {each.rollup}_log WHERE arrival_day IN {{days:Array(Date)}} "
            "AND (arrival_day, generation) NOT IN (SELECT * FROM hidden_generations)",
            days=[day.day for day in plan.days],
        )
        assert held == each.after, each.rollup


def _retried_too_late(replays: Replays, story: Story) -> None:
    """A client that never got its answer sends repaired events again: they are duplicates."""
    retried = [event for event in story.events if event.refused][:20]
    outcomes = replays.judged()
    story.send_again(retried)
    later = replays.judged()
    assert later["duplicate"] == outcomes["duplicate"] + len(retried)
    assert later["curated"] == outcomes["curated"]


def _was_told(replays: Replays, run: str) -> None:
    def told() -> list[Any]:
        return replays.server.rows("SELECT action FROM audit WHERE subject = {run:String} ORDER BY at", run=run)

    until(lambda: told() == [["replay.published"], ["replay.published"], ["replay.rolled_back"]])


def test_a_cause_is_found_mended_by_a_rule_and_its_dead_letters_come_in(
    replays: Replays, story: Story, tmp_path: Path
) -> None:
    sent = story.events[:40]
    story.send_texts(sent)

    def causes() -> list[dict[str, Any]]:
        done = replays.command("top", "--event", SUBJECT, "--since", "1h", "--json", group="dlq")
        assert done.returncode == 0, done.stderr
        return [msgspec.json.decode(line) for line in done.stdout.splitlines()]

    until(lambda: [cause["records"] for cause in causes()] == [len(sent)])
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
    outcomes = replays.judged()
    story.send_texts(story.events[30:60])
    later = replays.judged()
    assert later["duplicate"] == outcomes["duplicate"] + 10
    assert later["curated"] == outcomes["curated"] + 20
    until(lambda: replays.server.scalar(ids) == 60)
    assert replays.command("retire", "text-amount", group="dlq").returncode == 0
