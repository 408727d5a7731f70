"""What a replay refuses, what it survives, and what it says of either."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from replay.plans import Plan
from tests.integration.replay_stack import WINDOW, Reader, Replays, told, until
from tests.integration.replay_story import AFTER, DAYS, SUBJECT, Story

pytestmark = [pytest.mark.stack, pytest.mark.long]


_ROOM = "min_free_disk_bytes_to_perform_insert"
_SIZE = 20_000


@pytest.fixture(scope="module")
def story(replays: Replays, request: pytest.FixtureRequest) -> Story:
    return told(replays, request, size=_SIZE)


def test_a_run_holds_its_days_and_can_be_cancelled(replays: Replays, story: Story) -> None:
    content = replays.content()
    plan, other = replays.plan(*WINDOW), replays.plan(*WINDOW)
    name = f"replay-{plan.id}"
    working = replays.frozen("replay.after_range", "run", plan.id, "--why", "to be cancelled")
    held = replays.command("run", other.id, "--why", "at the same time")
    assert held.returncode == 65
    assert f"the run {name} holds" in held.stderr
    asked = replays.command("cancel", name, "--why", "enough")
    assert (asked.returncode, "is asked to stop" in asked.stdout) == (0, True)
    done = working.thaw()
    assert done.returncode == 130, done.stderr
    assert "was cancelled" in done.stderr
    assert replays.state_of(name) == "cancelled"
    assert replays.content() == content
    late = replays.command("cancel", name, "--why", "again")
    assert (late.returncode, "is cancelled" in late.stderr) == (65, True)
    # The days are free again.
    replays.take_back(replays.run(other))
    assert replays.content() == content


def test_a_plan_is_run_by_one_process_at_a_time(replays: Replays, story: Story) -> None:
    content = replays.content()
    plan = replays.plan(*WINDOW)
    first = replays.frozen("replay.after_range", "run", plan.id, "--why", "the first")
    second = replays.command("run", plan.id, "--why", "the second")
    assert second.returncode == 65
    assert f"works on replay-{plan.id} now" in second.stderr
    done = first.thaw()
    assert done.returncode == 0, done.stderr
    replays.check(story, mended=True)
    replays.take_back(replays.run(plan))
    assert replays.content() == content


def test_a_run_that_was_killed_is_cancelled_at_once(replays: Replays, story: Story) -> None:
    content = replays.content()
    plan = replays.plan(*WINDOW)
    killed = replays.frozen("generations.after_chunk", "run", plan.id, "--why", "to be killed")
    killed.process.kill()
    killed.result()
    name = f"replay-{plan.id}"
    assert replays.state_of(name) == "running"
    given_up = replays.command("cancel", name, "--why", "nobody works on it")
    assert (given_up.returncode, "is given up" in given_up.stdout) == (0, True)
    assert replays.state_of(name) == "cancelled"
    replays.take_back(replays.run(replays.plan(*WINDOW)))
    assert replays.content() == content


def test_a_full_disk_stops_a_run_and_room_lets_it_go_on(replays: Replays, story: Story) -> None:
    content = replays.content()
    plan = replays.plan(*WINDOW)
    working = replays.frozen("replay.after_range", "run", plan.id, "--why", "on a full disk")
    replays.server.execute(f"ALTER TABLE events_log MODIFY SETTING {_ROOM} = 1000000000000000")
    try:
        with Reader(replays.server) as reader:
            full = working.thaw()
            assert full.returncode == 74, full.stderr
            assert "no room left" in full.stderr
            again = replays.command("run", plan.id, "--why", "still full")
            assert again.returncode == 74, again.stderr
        assert reader.seen <= Reader.states(story)
        assert replays.content() == content
        assert replays.state_of(f"replay-{plan.id}") == "failed"
    finally:
        replays.server.execute(f"ALTER TABLE events_log MODIFY SETTING {_ROOM} = 268435456")
    run = replays.run(plan)
    replays.check(story, mended=True)
    replays.take_back(run)
    assert replays.content() == content


@pytest.mark.parametrize(
    "point", ["generations.after_chunk", "generations.before_publish", "generations.after_publish"]
)
def test_a_run_outlives_a_restart_of_clickhouse(replays: Replays, story: Story, point: str) -> None:
    """The engine is killed beneath a run that stages, that is about to publish, or that has just published."""
    content = replays.content()
    plan = replays.plan(*WINDOW)
    with Reader(replays.server, patient=True) as reader:
        working = replays.frozen(point, "run", plan.id, "--why", "with a restart")
        replays.stack.engines.kill("clickhouse")
        done = working.thaw()
    assert done.returncode == 0, done.stderr
    assert replays.state_of(f"replay-{plan.id}") == "published"
    replays.check(story, mended=True)
    replays.take_back(replays.run(plan))
    assert reader.seen <= Reader.states(story)
    assert replays.content() == content


def test_what_kafka_deletes_under_a_plan_is_read_from_the_archive(replays: Replays, story: Story) -> None:
    whole = replays.plan(*WINDOW)
    assert whole.from_kafka > 0
    working = replays.frozen("replay.after_coverage", "plan", *WINDOW, "--json")
    story.forget(0.7)
    done = working.thaw()
    assert done.returncode == 0, done.stderr
    plan = msgspec.json.decode(done.stdout, type=Plan)
    assert 0 < plan.from_kafka < whole.from_kafka
    assert plan.from_kafka + plan.from_archive == whole.from_kafka + whole.from_archive
    assert (plan.gaps, plan.days, plan.fields) == ([], whole.days, whole.fields)
    # What it deletes between plan and run is none of the run's business: the plan holds its rows.
    story.forget(0.9)
    replays.run(plan)
    replays.check(story, mended=True)
    replays.take_back(replays.run(plan))


def test_a_plan_that_was_killed_leaves_nothing_once_pruned(replays: Replays, story: Story) -> None:
    def tables() -> int:
        return int(replays.server.scalar("SELECT count() FROM system.tables WHERE name LIKE 'replay_rows_%'"))

    assert replays.command("prune", "--older-than", "0").returncode == 0
    before = tables()
    killed = replays.start("plan", *WINDOW, "--rate", "2000")
    until(lambda: tables() > before)
    working = replays.command("prune", "--older-than", "0")
    assert ("0 tables of killed ones" in working.stdout, tables()) == (True, before + 1)
    killed.process.kill()
    killed.result()
    pruned = replays.command("prune", "--older-than", "0")
    assert ("4 tables of killed ones" in pruned.stdout, tables()) == (True, before), pruned.stdout


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
    # Also beside events that stay as they are.
    with_others = replays.plan(*WINDOW)
    assert with_others.unchanged > 0
    assert with_others.emptied == everything_refused.emptied == {SUBJECT: everything_refused.removed}
    content = replays.content()
    assert "refuse every record" in refused("run", with_others.id, "--why", "x")
    assert replays.content() == content
    meant = replays.command("run", with_others.id, "--why", "they shall go", "--remove-all")
    assert meant.returncode == 0, meant.stderr
    assert replays.server.scalar(f"SELECT count() FROM events WHERE event = '{SUBJECT}'") == 0
    assert replays.command("rollback", f"replay-{with_others.id}", "--why", "x").returncode == 0
    assert replays.content() == content

    page = tmp_path / "plan.html"
    shown = replays.command("show", plan.id, "--html", str(page))
    assert f"plan {plan.id}" in shown.stdout
    assert f"<code>{plan.id}</code>" in page.read_text()
    listed = msgspec.json.decode(replays.command("list", "--json").stdout)
    assert plan.id in [each["id"] for each in listed["plans"]]
    assert replays.command("prune", "--older-than", "0").returncode == 0
    assert msgspec.json.decode(replays.command("list", "--json").stdout)["plans"] == []


def test_records_that_are_kept_nowhere_are_a_gap_and_no_run_passes_over_it(replays: Replays, story: Story) -> None:
    """The last test: it deletes raw records for good."""
    story.forget(0.95)
    replays.server.execute(
        "ALTER TABLE raw_archive_log DELETE WHERE toDate(arrival_at) = {day:Date} AND raw_partition = 0 "
        "SETTINGS mutations_sync = 2",
        day=DAYS[1],
    )
    plan = replays.plan()
    assert [gap.partition for gap in plan.gaps] == [0]
    lost = plan.gaps[0].last - plan.gaps[0].first + 1
    assert lost + plan.selected == len(story.sent)
    run = replays.command("run", plan.id, "--why", "x")
    assert (run.returncode, "has gaps" in run.stderr) == (65, True)
    # A window that lies in it alone, beyond both retentions, is a gap as well, and not an empty one.
    alone = replays.plan("--from", DAYS[1], "--to", DAYS[2], "--source", "kafka")
    assert alone.selected == 0
    assert len(alone.gaps) == replays.stack.settings.partitions
    # Next to it nobody knows which day the lost ones were of; a day away everybody does.
    assert [gap.partition for gap in replays.plan("--from", DAYS[2], "--to", AFTER).gaps] == [0]
    assert replays.plan("--from", DAYS[3], "--to", AFTER).gaps == []
