"""Plan, insert, verify against a ClickHouse in memory that fails in every way the real one was seen to.

Whatever happens, in the end each row is stored exactly once, or an error says that it is not.
"""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError, InvariantError, StateError, UnavailableError
from schemas.registry import bundled
from sinks.clickhouse import ServerError, UncertainError
from sinks.plan import Plan, Source
from sinks.row import Row
from sinks.tables import events
from sinks.writer import _MAX_ATTEMPTS, Block, RowsRefusedError, Writer
from tests.sinks.curated import rows

SCHEMA = bundled().get("event", 1)
DAY = "2023-11-14"
PINNED = {"async_insert": "0", "insert_deduplicate": "1", "deduplicate_blocks_in_dependent_materialized_views": "1"}

# What an insert may meet. "orphan": killed after the token was logged and before the part was renamed.
FATES = ["ok", "refused connection", "lost request", "lost answer", "orphan", "busy", "busy but done"]


@dataclass
class FakeClickHouse:
    """The table, a view of it, their logs of tokens, and the fate of the inserts to come."""

    fates: list[str] = field(default_factory=list)
    table: Counter[int] = field(default_factory=Counter)  # offset → rows
    tokens: set[str] = field(default_factory=set)
    view: Counter[int] = field(default_factory=Counter)
    view_tokens: set[str] = field(default_factory=set)
    inserts: list[tuple[str, list[int]]] = field(default_factory=list)
    refuses: set[int] = field(default_factory=set)
    to_views: bool = True

    def insert(self, statement: str, body: bytes, *, settings: dict[str, str]) -> None:
        assert statement == f"INSERT INTO events_log ({', '.join(events().columns)}) FORMAT Avro"
        assert settings.items() >= PINNED.items()
        token = settings["insert_deduplication_token"]
        offsets = [record["kafka_offset"] for record in fastavro.reader(io.BytesIO(body)) if isinstance(record, dict)]
        self.inserts.append((token, offsets))
        self.to_views = "max_bytes_to_read" not in settings
        self._look_at(offsets)
        match self.fates.pop(0) if self.fates else "ok":
            case "ok":
                self._store(token, offsets)
                self._views_fail()
            case "refused connection":
                raise UnavailableError("refused")
            case "lost request":
                raise UncertainError("reset")
            case "lost answer":
                self._store(token, offsets)
                raise UncertainError("reset")
            case "orphan":
                self.tokens.add(token)
                raise UncertainError("reset")
            case "busy":
                raise ServerError("Code: 252. Too many parts", number=252)
            case "busy but done":
                self._store(token, offsets)
                raise ServerError("Code: 319. Unknown status of insert", number=319)
            case "swallow":
                self.tokens.add(token)
                self._store(token, offsets)
            case fate:
                raise ServerError(f"Code: {fate}. Something", number=int(fate))

    def _look_at(self, offsets: list[int]) -> None:
        if any(offset in self.refuses for offset in offsets):
            raise ServerError("Code: 117. Incorrect data: 'secret'\nof a row", number=117)

    def _views_fail(self) -> None:
        """Where they were told to read nothing: the table has the rows by then."""
        if not self.to_views:
            raise ServerError("Code: 307. Limit for rows or bytes to read exceeded", number=307)

    def _store(self, token: str, offsets: list[int]) -> None:
        if token not in self.tokens:
            self.tokens.add(token)
            self.table.update(offsets)
        # What the table knows already is pushed to views all the same.
        if self.to_views and token not in self.view_tokens:
            self.view_tokens.add(token)
            self.view.update(offsets)

    def _found(self, bounds: dict[str, Any]) -> list[int]:
        assert (bounds["day"], bounds["partition"]) == (DAY, 3)
        return [o for o in self.table.elements() if bounds["first"] <= o <= bounds["last"]]

    def scalar(self, sql: str, **bounds: str | int) -> int:
        assert sql.startswith("SELECT count() FROM events_log WHERE ")
        return len(self._found(bounds))

    def rows(self, sql: str, **bounds: str | int) -> list[list[int]]:
        assert sql.startswith("SELECT kafka_offset FROM events_log WHERE ")
        return [[offset] for offset in self._found(bounds)]


@dataclass
class Sink:
    """A writer and its commits. `write` tries as the worker does; `restart` forgets all but the committed plan."""

    server: FakeClickHouse
    lines: list[Row]
    committed: Plan | None = None
    refuse_commits: int = 0
    doubted: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.writer = Writer(
            self.server,  # type: ignore[arg-type] # a fake
            events(),
            Source("c", "t"),
            commit_plan=self.commit_plan,
            after_doubt=self.doubted.append,
        )
        self.committed = self.committed or Plan(self.lines[0].offset, self.lines[-1].offset, len(self.lines))
        self.block = Block(3, self.lines, self.committed, uncertain=False)

    def commit_plan(self, partition: int, plan: Plan) -> None:
        assert partition == 3
        if self.refuse_commits:
            self.refuse_commits -= 1
            raise UnavailableError("no")
        self.committed = plan

    def restart(self) -> None:
        assert self.committed is not None
        self.block = Block(3, self.lines, self.committed, uncertain=True)

    def write(self) -> bool:
        try:
            self.writer.write(self.block)
        except UnavailableError:
            return False
        return True

    def write_until_done(self) -> None:
        for _ in range(20):
            if self.write():
                return
        raise AssertionError("never done")


LINES = rows(100, 3)
ONCE = {row.offset: 1 for row in LINES}


def test_a_certain_success_needs_one_insert_and_no_count() -> None:
    sink = Sink(FakeClickHouse(), LINES)
    sink.server.scalar = None  # type: ignore[assignment, method-assign] # any count would fail
    assert sink.write()
    assert sink.server.table == ONCE
    assert [token for token, _ in sink.server.inserts] == ["c:t:3:100:102:events_log:1"]
    assert not sink.block.uncertain
    assert sink.doubted == []


def test_after_doubt_the_rollups_of_its_day_are_looked_at() -> None:
    sink = Sink(FakeClickHouse(), LINES)
    sink.restart()
    assert sink.write()
    assert sink.doubted == [DAY]


def test_a_later_attempt_found_at_a_restart_is_repeated_only_where_nothing_is_stored() -> None:
    dead = {"c:t:3:100:102:events_log:1"}
    sink = Sink(FakeClickHouse(tokens=set(dead)), LINES)
    sink.committed = Plan(100, 102, 3, attempt=2)
    sink.restart()
    assert sink.write()
    assert sink.server.table == ONCE
    assert [token for token, _ in sink.server.inserts] == ["c:t:3:100:102:events_log:2", "c:t:3:100:102:events_log:1"]
    part = Sink(FakeClickHouse(), LINES)
    part.server.table[100] = 1  # somebody stored a part of it
    part.server.tokens = dead
    part.committed = Plan(100, 102, 3, attempt=2)
    part.restart()
    assert part.write()
    assert part.server.table == ONCE
    assert [token for token, _ in part.server.inserts] == ["c:t:3:100:102:events_log:3", "c:t:3:100:102:events_log:1"]


@pytest.mark.parametrize("fate", ["refused connection", "lost request", "lost answer", "busy", "busy but done"])
def test_a_doubtful_insert_is_repeated_under_its_token(fate: str) -> None:
    sink = Sink(FakeClickHouse([fate]), LINES)
    assert not sink.write()
    assert sink.block.uncertain
    assert sink.write()
    assert sink.server.table == ONCE
    assert len({token for token, _ in sink.server.inserts}) == 1
    assert sink.committed == Plan(100, 102, 3, 1)


def test_a_dead_token_is_found_out_by_counting() -> None:
    """The engine logged the token, then was killed before the part appeared: the repeat is "already inserted"."""
    sink = Sink(FakeClickHouse(["orphan"]), LINES)
    assert not sink.write()
    assert sink.write()
    assert sink.server.table == ONCE
    assert sink.committed == Plan(100, 102, 3, 2), "the next attempt is committed before it is sent"
    assert [token[-1] for token, _ in sink.server.inserts] == ["1", "1", "2", "1"], "the last one is for the views"
    assert sink.server.view == ONCE


def test_the_next_attempt_is_not_sent_before_its_plan_is_committed() -> None:
    sink = Sink(FakeClickHouse(["orphan"]), LINES, refuse_commits=1)
    assert not sink.write()
    assert not sink.write()
    assert [token[-1] for token, _ in sink.server.inserts] == ["1", "1"]
    assert sink.block.plan.attempt == 1
    assert sink.write()
    assert sink.server.table == ONCE


@pytest.mark.parametrize("fate", FATES)
def test_a_restart_at_any_point_ends_in_each_row_once(fate: str) -> None:
    sink = Sink(FakeClickHouse([fate]), LINES)
    sink.write()
    sink.restart()
    sink.write_until_done()
    assert sink.server.table == ONCE


def test_a_frozen_sender_that_wakes_up_adds_nothing() -> None:
    sink = Sink(FakeClickHouse(["lost request"]), LINES)
    assert not sink.write()
    assert sink.write()
    token, offsets = sink.server.inserts[0]
    sink.server._store(token, offsets)
    assert sink.server.table == ONCE


def test_rows_that_are_refused_are_told_without_their_values() -> None:
    sink = Sink(FakeClickHouse(refuses={101}), LINES)
    with pytest.raises(RowsRefusedError) as refused:
        sink.write()
    assert refused.value.reason == "Code: 117. Incorrect data: …"
    assert len(sink.server.inserts) == 1
    assert not sink.server.table


def test_rows_that_are_refused_and_stored_in_part_are_an_error() -> None:
    server = FakeClickHouse(table=Counter([100]), refuses={101})
    sink = Sink(server, LINES)
    sink.restart()
    with pytest.raises(InvariantError, match="stores in part"):
        sink.write()


@pytest.mark.parametrize(
    ("number", "raised"),
    [
        (16, StateError),  # a column is gone
        (60, StateError),
        (497, ConfigError),
        (516, ConfigError),
        (62, ServerError),  # a syntax error is ours
        (1001, UnavailableError),
        (243, UnavailableError),
    ],
)
def test_what_is_not_about_the_rows_skips_none(number: int, raised: type[Exception]) -> None:
    sink = Sink(FakeClickHouse([str(number)]), LINES)
    with pytest.raises(raised):
        sink.writer.write(sink.block)
    sink.server.fates = []
    sink.write_until_done()
    assert sink.server.table == sink.server.view == ONCE


def test_a_broken_avro_record_is_a_matter_of_the_rows() -> None:
    message = "Code: 1001. DB::Exception: std::exception. Code: 1001, type: avro::Exception, e.what() = EOF reached"
    assert ServerError(message, number=1001).about == "rows"


@pytest.mark.parametrize("present", [[100], [101], [100, 102]])
def test_only_what_is_missing_is_added(present: list[int]) -> None:
    server = FakeClickHouse(table=Counter(present), tokens={"c:t:3:100:102:events_log:1"})
    sink = Sink(server, LINES)
    sink.restart()
    assert sink.write()
    assert server.table == ONCE
    assert server.inserts[-2] == ("c:t:3:100:102:events_log:2", [o for o in ONCE if o not in present])


def test_more_rows_than_were_sent_are_an_error() -> None:
    sink = Sink(FakeClickHouse(table=Counter({100: 2})), LINES)
    sink.restart()
    with pytest.raises(InvariantError, match="5 rows are stored where 3 were sent"):
        sink.write()


def test_a_server_that_loses_what_it_acknowledges_is_an_error() -> None:
    sink = Sink(FakeClickHouse(["swallow"] * 50), LINES)
    sink.restart()
    with pytest.raises(InvariantError, match="are not there"):
        sink.write()
    assert len(sink.server.inserts) == _MAX_ATTEMPTS
    assert not sink.server.table


def test_other_blocks_rows_are_not_counted() -> None:
    sink = Sink(FakeClickHouse(["orphan"], table=Counter([99, 103])), LINES)
    sink.write_until_done()
    assert sink.server.table == ONCE | {99: 1, 103: 1}


@given(
    fates=st.lists(st.sampled_from(FATES), max_size=8),
    restarts=st.sets(st.integers(0, 10)),
    refused=st.integers(0, 2),
    count=st.integers(1, 4),
)
@settings(max_examples=300)
def test_each_row_is_stored_once_whatever_happens(
    fates: list[str], restarts: set[int], refused: int, count: int
) -> None:
    lines = rows(100, count)
    sink = Sink(FakeClickHouse(list(fates)), lines, refuse_commits=refused)
    for turn in range(30):
        try:
            if sink.write() and turn not in restarts:
                break
        except InvariantError:
            assert fates.count("orphan") >= _MAX_ATTEMPTS - 1, "only a server that keeps losing parts ends the sink"
            assert max(sink.server.table.values(), default=1) == 1
            return
        if turn in restarts:
            sink.restart()
    else:
        raise AssertionError("never done")
    assert sink.server.table == sink.server.view == {row.offset: 1 for row in lines}


@given(st.lists(st.sampled_from(FATES), max_size=6), st.sets(st.sampled_from([100, 101, 102])), st.booleans())
@settings(max_examples=300)
def test_rows_present_in_part_end_exact_or_in_an_error(fates: list[str], present: set[int], logged: bool) -> None:
    tokens = {"c:t:3:100:102:events_log:1"} if logged else set()
    server = FakeClickHouse(list(fates), table=Counter(present), tokens=tokens)
    sink = Sink(server, LINES)
    sink.restart()
    try:
        sink.write_until_done()
    except InvariantError:
        return
    assert server.table == ONCE
