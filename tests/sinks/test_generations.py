"""Days restated beside the old ones, shown and hidden by one insert, on a real engine."""

from __future__ import annotations

import os
import signal
import threading
from typing import get_args

import pytest

from core import failpoints
from core.errors import InputError, InvariantError, RefusedError
from core.failpoints import Failpoint
from core.settings import Settings
from sinks.clickhouse import ClickHouse
from sinks.generations import pruning
from sinks.generations.record import Entry, Phase, Record, State, live_generation
from sinks.generations.restatement import Restatement
from tests.sinks.days import DAYS, begin, prepare, restate, store, totals, view, views

DAY = DAYS[0]
EVEN = "raw_offset % 20 = 0"  # of offsets that are multiples of ten, every other


@pytest.fixture
def server(database: Settings) -> ClickHouse:
    """A day of 100 page views."""
    found = prepare(database)
    store(found, views(0, 60))
    store(found, views(60, 40))
    return found


def seen(server: ClickHouse) -> int:
    """Rows readers see, which base and rollups agree about."""
    found = set(totals(server))
    assert len(found) == 1, found
    return found.pop()


def offsets(server: ClickHouse) -> set[int]:
    return {offset for (offset,) in server.rows("SELECT raw_offset FROM events")}


# -- one day


def test_what_is_staged_is_not_seen(server: ClickHouse) -> None:
    restate(server, "r1", [DAY], where=EVEN)
    assert seen(server) == 100
    assert server.scalar("SELECT count() FROM events_log WHERE generation = 1") == 50


def test_publishing_shows_it_and_rolling_back_hides_it_again(server: ClickHouse) -> None:
    before = server.rows("SELECT * EXCEPT generation FROM events ORDER BY raw_offset")
    run = restate(server, "r1", [DAY], where=EVEN)
    run.publish()
    assert seen(server) == 50
    run.rollback()
    assert seen(server) == 100
    assert server.rows("SELECT * EXCEPT generation FROM events ORDER BY raw_offset") == before


def test_both_can_be_done_again_and_change_nothing(server: ClickHouse) -> None:
    run = restate(server, "r1", [DAY], where=EVEN)
    assert [each.day for each in run.publish()] == [each.day for each in run.publish()] == [DAY]
    assert seen(server) == 50
    run.rollback()
    run.rollback()
    assert seen(server) == 100
    with pytest.raises(RefusedError, match="cannot be published"):
        run.publish()


def test_carrying_a_day_over_changes_no_row(server: ClickHouse) -> None:
    before = server.rows("SELECT * EXCEPT generation FROM events ORDER BY raw_offset")
    restate(server, "r1", [DAY]).publish()
    assert server.rows("SELECT * EXCEPT generation FROM events ORDER BY raw_offset") == before
    assert seen(server) == 100


def test_equal_blocks_of_a_rollup_are_not_taken_for_one(server: ClickHouse) -> None:
    """Each chunk makes the same rows in a rollup: (day, 1 view, one visitor)."""
    for number in range(4):
        same = {"visitor_id": "v", "session_id": "s", "url": "/p"}
        store(server, [view(1_000 + number, day=3, raw=number * 1_000_000, **same)])
    restate(server, "r1", [DAYS[3]]).publish()
    assert seen(server) == 104


def test_restated_rows_come_in_the_place_of_others(server: ClickHouse) -> None:
    (stage,) = begin(server, "r1", [DAY])
    stage.replace([(0, 10), (0, 20), (0, 30)])
    stage.insert(views(1, 2, user_id="u"))  # what was at 30 is gone for good
    stage.insert([view(200, user_id="u", raw=995)])
    stage.carry()
    found = stage.verify(rows=100)
    assert (found.rows, found.restated) == (100, 3)
    Restatement(server, "r1").publish()
    assert seen(server) == 100
    assert server.rows("SELECT raw_offset FROM events WHERE user_id = 'u' AND run = 'r1' ORDER BY 1") == [
        [10],
        [20],
        [995],
    ]
    assert server.scalar("SELECT count() FROM events WHERE run = ''") == 97
    assert server.scalar("SELECT count() FROM replaced_rows") == 0


def test_rows_may_be_kept_by_a_condition(server: ClickHouse) -> None:
    (stage,) = begin(server, "r1", [DAY])
    assert stage.carry("tenant = {tenant:String} AND raw_offset < {end:UInt64}", tenant="demo", end=300) == 30
    assert stage.verify().rows == 30


def test_progress_is_told(server: ClickHouse) -> None:
    (stage,) = begin(server, "r1", [DAY])
    told: list[tuple[int, int]] = []
    stage.carry(progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (100, 100)


# -- live rows meanwhile


def test_live_rows_go_to_the_tail_and_stay_whatever_becomes_of_the_run(server: ClickHouse) -> None:
    (stage,) = begin(server, "r1", [DAY])
    assert live_generation(server, DAY) == stage.tail
    store(server, views(100, 5))
    stage.carry(EVEN)
    stage.verify()
    assert seen(server) == 105
    run = Restatement(server, "r1")
    run.publish()
    store(server, views(105, 5))
    assert seen(server) == 60
    run.rollback()
    assert seen(server) == 110
    store(server, views(110, 5))
    assert seen(server) == 115
    restate(server, "r2", [DAY]).publish()
    store(server, views(115, 5))
    assert seen(server) == 120
    assert offsets(server) == {10 * number for number in range(120)}


def test_a_dropped_run_leaves_its_tail(server: ClickHouse) -> None:
    begin(server, "r1", [DAY])
    store(server, views(100, 5))
    Restatement(server, "r1").drop()
    store(server, views(105, 5))
    assert seen(server) == 110
    assert restate(server, "r1", [DAY]).publish()[0].replaces == (0, 2)
    assert seen(server) == 110


# -- verification


def test_a_raw_record_twice_is_found(server: ClickHouse) -> None:
    (stage,) = begin(server, "r1", [DAY])
    stage.insert(views(1, 1))
    stage.carry()  # nobody said that the row is replaced
    del stage
    (stage,) = begin(server, "r1", [DAY])
    stage.insert(views(1, 1))
    server.execute(
        "INSERT INTO events_log (raw_partition, raw_offset, arrival_at, generation) SELECT raw_partition, raw_offset, "
        f"arrival_at, {stage.generation} FROM events_log WHERE generation = 0 AND raw_offset = 10"
    )
    with pytest.raises(InvariantError, match="1 raw records are in it twice"):
        stage.verify()


def test_an_event_id_twice_is_found(server: ClickHouse) -> None:
    (stage,) = begin(server, "r1", [DAY])
    stage.insert([view(200, event_id="id-1")])
    stage.carry()
    with pytest.raises(InvariantError, match="1 event ids are in it twice, 0 were before"):
        stage.verify()


def test_a_record_that_came_live_as_well_is_found(server: ClickHouse) -> None:
    (stage,) = begin(server, "r1", [DAY])
    store(server, views(100, 1))
    stage.insert(views(100, 1))
    stage.carry()
    with pytest.raises(InvariantError, match="came live as well"):
        stage.verify()


def test_another_number_of_rows_is_found(server: ClickHouse) -> None:
    (stage,) = begin(server, "r1", [DAY])
    stage.carry()
    with pytest.raises(InvariantError, match="100 rows where 99 were due"):
        stage.verify(rows=99)


def test_a_rollup_that_differs_is_found_and_named(server: ClickHouse) -> None:
    (stage,) = begin(server, "r1", [DAY])
    stage.carry()
    server.execute(
        "INSERT INTO pages_daily_log (arrival_day, generation, tenant, day, path, views) "
        f"VALUES ('{DAY}', {stage.generation}, 'demo', '{DAY}', '/p/1', 1)"
    )
    with pytest.raises(InvariantError, match=r"pages_daily_log 2023-11-14 generation 1: .*'/p/1'.*34.*33"):
        stage.verify()
    with pytest.raises(RefusedError, match="cannot be published: 2023-11-14 is staging"):
        Restatement(server, "r1").publish()


# -- several runs


def test_a_day_is_held_by_one_run(server: ClickHouse) -> None:
    begin(server, "r1", [DAY])
    with pytest.raises(RefusedError, match="the run r1 holds 2023-11-14: it is staging"):
        begin(server, "r2", [DAYS[1], DAY])
    begin(server, "r3", [DAYS[1]])
    Restatement(server, "r1").drop()
    Restatement(server, "r3").drop()
    begin(server, "r2", [DAYS[1], DAY])


def test_of_many_that_begin_at_once_at_most_one_holds_the_day(server: ClickHouse) -> None:
    begun: list[str] = []
    start = threading.Barrier(6)

    def compete(name: str) -> None:
        start.wait()
        try:
            begin(server, name, [DAY])
        except RefusedError:
            return
        begun.append(name)

    for turn in range(3):
        threads = [threading.Thread(target=compete, args=(f"r{turn}-{number}",)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(begun) <= 1
        assert {claim.run for claim in Record(server).holders([DAY], but="")} == set(begun)
        assert seen(server) == 100
        for name in begun:
            Restatement(server, name).drop()
        begun.clear()


def test_a_run_that_another_built_on_is_not_rolled_back(server: ClickHouse) -> None:
    first = restate(server, "r1", [DAY], where="raw_offset >= 100")
    first.publish()
    second = restate(server, "r2", [DAY], where=EVEN)
    with pytest.raises(RefusedError, match="the run r2 holds 2023-11-14: it is staged"):
        first.rollback()
    second.publish()
    assert seen(server) == 45
    with pytest.raises(RefusedError, match="the run r2 built on 2023-11-14: roll that back first"):
        first.rollback()
    assert seen(server) == 45
    second.rollback()
    assert seen(server) == 90
    first.rollback()
    assert seen(server) == 100


def test_a_frozen_publisher_that_wakes_up_undoes_nothing(server: ClickHouse) -> None:
    """It had checked everything, and its insert comes after others have gone on."""
    run = restate(server, "r1", [DAY], where=EVEN)
    record = Record(server)
    version = record.claim(record.of_run("r1"))
    late = [
        Entry(day=DAY, generation=1, visible=True, state=State.PUBLISHED, run="r1"),
        Entry(day=DAY, generation=0, visible=False, state=State.SUPERSEDED, run="r1"),
    ]
    run.publish()
    run.rollback()
    restate(server, "r2", [DAY], where="raw_offset >= 100").publish()
    assert seen(server) == 90
    record.show(late, version=version)
    assert seen(server) == 90


@pytest.mark.parametrize("name", ["", "-x", "a b", "ü", "x" * 101, "a\nb", "a'b"])
def test_a_run_needs_a_name(database: Settings, name: str) -> None:
    with pytest.raises(InputError, match="cannot name a run"):
        Restatement(ClickHouse(database), name)


# -- pruning


def test_what_is_out_of_sight_is_pruned(server: ClickHouse) -> None:
    record = Record(server)
    restate(server, "r1", [DAY], where=EVEN).publish()
    begin(server, "r2", [DAYS[1]])
    Restatement(server, "r2").drop()
    assert pruning.due(record, older_than_s=60) == []
    due = pruning.due(record, older_than_s=-60)
    assert [(each.day, each.generation, each.state) for each in due] == [
        (DAY, 0, State.SUPERSEDED),
        (DAYS[1], 1, State.DROPPED),
    ]
    assert pruning.prune(server, due) == due
    assert server.rows("SELECT DISTINCT generation FROM events_log") == [[1]]
    assert server.rows("SELECT DISTINCT generation FROM pages_daily_log") == [[1]]
    assert seen(server) == 50
    with pytest.raises(RefusedError, match="generation 0 of 2023-11-14, which it replaced, is deleted"):
        Restatement(server, "r1").rollback()
    assert seen(server) == 50
    store(server, views(100, 5))
    assert seen(server) == 55


def test_a_day_that_a_run_holds_is_not_pruned(server: ClickHouse) -> None:
    restate(server, "r1", [DAY], where=EVEN).publish()
    record = Record(server)
    due = pruning.due(record, older_than_s=-60)
    begin(server, "r2", [DAY])
    assert pruning.due(record, older_than_s=-60) == []
    assert pruning.prune(server, due) == []
    assert server.scalar("SELECT count() FROM events_log WHERE generation = 0") == 100


# -- killed anywhere


POINTS = [name for name in get_args(Failpoint) if name.startswith("generations.")]


def _killed(settings: Settings, spec: str, tmp_path: object) -> bool:
    """The whole life of a run in a child process that is killed at the failpoint; whether it was."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            failpoints.arm(spec, state_dir=tmp_path)  # type: ignore[arg-type] # a path
            _live(settings)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def _live(settings: Settings) -> None:
    """Two days: restated, published, rolled back, restated for good, the old pruned. Any step may have been done."""
    server = ClickHouse(settings)
    record = Record(server)
    phases = {claim.phase for claim in record.of_run("r1")}
    if phases <= {Phase.STAGING, Phase.STAGED, Phase.PUBLISHING}:
        for stage in begin(server, "r1", DAYS[:2]):
            if not stage.verified:
                stage.insert([view(10_000 if stage.day == DAY else 10_001, day=DAYS.index(stage.day))])
                stage.carry(EVEN)
                stage.verify()
        Restatement(server, "r1").publish()
    Restatement(server, "r1").rollback()
    pruning.prune(server, pruning.due(record, older_than_s=-60))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_readers_see_the_day_before_or_after(
    database: Settings, server: ClickHouse, point: str, tmp_path: object
) -> None:
    store(server, views(1_000, 20, day=1))
    assert _killed(database, f"{point}:kill", tmp_path)
    assert seen(server) in {120, 62}
    store(server, views(2_000, 3))  # live goes on
    assert seen(server) in {123, 65}
    assert not _killed(database, "", tmp_path)
    assert seen(server) == 123
    for day in DAYS[:2]:
        assert Record(server).holders([day], but="") == []
    assert server.scalar("SELECT count() FROM events_log") == 123, "what was begun is pruned"


# -- readers meanwhile


def test_readers_never_see_a_mixture(database: Settings, server: ClickHouse) -> None:
    """Ten days flip at once; no query sees some days before and some after, nor base and rollups apart."""
    for day in range(1, 10):
        store(server, views(day * 1_000, 30, day=day))
    before, after = 370, 185
    run = restate(server, "r1", DAYS, where=EVEN)
    answers: list[tuple[int, ...]] = []
    done = threading.Event()

    def read() -> None:
        own = ClickHouse(database)
        while not done.is_set():
            answers.append(totals(own))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    run.publish()
    published = Record(server).entries(DAYS)
    run.rollback()
    back = Record(server).entries(DAYS)
    for _ in range(10):  # the same insert, over and over
        for entries in (published, back):
            Record(server).show(entries, version=Record(server).next_version())
    done.set()
    for reader in readers:
        reader.join()
    assert set(answers) == {(before,) * 4, (after,) * 4}
