"""An insert that is answered with 200 was done. The engine itself forgets what goes wrong while rows are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from infra.clickhouse.engine import Failure, Running
from infra.clickhouse.errors import ClickHouseError
from infra.clickhouse.failures import Watch
from tests.infra.clickhouse.front import Front, Reply, eventually

NO_SPACE = "min_free_disk_bytes_to_perform_insert = 1000000000000000"


def rows(front: Front, table: str, *, count: int = 2) -> Reply:
    return front.post(b"".join(b"%d\tx\n" % number for number in range(count)), query=f"INSERT INTO {table} FORMAT TSV")


def test_a_disk_without_room_is_said(front: Front, table: str) -> None:
    front.post(f"ALTER TABLE {table} MODIFY SETTING {NO_SPACE}")
    reply = rows(front, table)
    assert (reply.status, reply.code) == (500, 243), reply.text
    assert "NOT_ENOUGH_SPACE" in reply.text
    assert front.value(f"SELECT count() FROM {table}") == "0"


def test_a_disk_without_room_for_a_view_is_said(front: Front, table: str) -> None:
    front.post(f"CREATE TABLE {table}_target (id UInt64) ENGINE = MergeTree ORDER BY id SETTINGS {NO_SPACE}")
    front.post(f"CREATE MATERIALIZED VIEW {table}_view TO {table}_target AS SELECT id FROM {table}")
    try:
        assert rows(front, table).code == 243
    finally:
        front.post(f"DROP VIEW {table}_view")
        front.post(f"DROP TABLE {table}_target")


def test_an_error_of_a_view_may_be_ignored(front: Front, table: str) -> None:
    front.post(f"CREATE TABLE {table}_target (id UInt64) ENGINE = MergeTree ORDER BY id")
    front.post(f"CREATE MATERIALIZED VIEW {table}_view TO {table}_target AS SELECT throwIf(id = 1) AS id FROM {table}")
    statement, body = f"INSERT INTO {table} FORMAT TSV", b"1\tx\n"
    try:
        assert front.post(body, query=statement).code == 395
        assert front.post(body, query=statement, materialized_views_ignore_errors=1).status == 200
        front.post(f"ALTER TABLE {table} MODIFY SETTING {NO_SPACE}")
        assert front.post(body, query=statement, materialized_views_ignore_errors=1).code == 243, "not of a view"
    finally:
        front.post(f"DROP VIEW {table}_view")
        front.post(f"DROP TABLE {table}_target")


def test_a_constraint_is_said(front: Front, table: str) -> None:
    front.post(f"ALTER TABLE {table} ADD CONSTRAINT small CHECK id < 1000")
    reply = rows(front, table, count=1001)
    assert reply.code == 469, reply.text
    assert front.value(f"SELECT count() FROM {table}") == "0"
    assert rows(front, table, count=1000).status == 200, "an error of before is no error of now"


def test_rows_of_several_blocks_are_watched_too(front: Front, table: str) -> None:
    front.post(f"ALTER TABLE {table} MODIFY SETTING {NO_SPACE}")
    assert rows(front, table, count=1_200_000).code == 243


def test_rows_that_a_client_lets_be_skipped_are_no_failure(front: Front, table: str) -> None:
    text = b"1,a\nno row\n3,c\n"
    for query, settings in (
        (f"INSERT INTO {table} FORMAT CSV", {"input_format_allow_errors_num": 1}),
        (f"INSERT INTO {table} SETTINGS input_format_allow_errors_num = 1 FORMAT CSV", {}),
    ):
        reply = front.post(text, query=query, headers=None, **settings)
        assert reply.status == 200, reply.text
    assert front.value(f"SELECT count() FROM {table}") == "4"
    assert front.post(text, query=f"INSERT INTO {table} FORMAT CSV").code == 27


def test_errors_of_a_view_count_also_where_rows_may_be_skipped(front: Front, table: str) -> None:
    front.post(f"CREATE TABLE {table}_target (day Date) ENGINE = MergeTree ORDER BY day")
    front.post(f"CREATE MATERIALIZED VIEW {table}_view TO {table}_target AS SELECT toDate(s) AS day FROM {table}")
    try:
        reply = front.post(b"1,no day\n", query=f"INSERT INTO {table} FORMAT CSV", input_format_allow_errors_num=1)
        assert reply.code == 38, reply.text
    finally:
        front.post(f"DROP VIEW {table}_view")
        front.post(f"DROP TABLE {table}_target")


ALONE: dict[str, Any] = {"materialized_views_ignore_errors": 1, "max_bytes_to_read": 1}


@pytest.mark.parametrize(("settings", "code"), [({}, 0), ({"max_bytes_to_read": 1_000_000}, 319)])
def test_limits_that_others_meet_cast_no_doubt_on_an_insert_without_any(
    front: Front, table: str, settings: dict[str, Any], code: int
) -> None:
    """As sinks do that have a block in doubt: they store it without the views, which may not read a byte."""
    front.post(f"CREATE TABLE {table}_target (id UInt64) ENGINE = MergeTree ORDER BY id")
    front.post(f"CREATE MATERIALIZED VIEW {table}_view TO {table}_target AS SELECT id FROM {table}")
    statement = f"INSERT INTO {table} FORMAT TSV"

    def body() -> Iterator[bytes]:
        yield b"1\tx\n"
        eventually(lambda: front.value(f"SELECT count() FROM system.processes WHERE query LIKE '%INTO {table}%'") > "1")
        for number in range(2):
            assert front.post(b"%d\ty\n" % number, query=statement, **ALONE).status == 200
        yield b"2\tx\n"

    try:
        assert front.post(body(), query=statement, **settings).code == code
        assert front.value(f"SELECT count() FROM {table} WHERE s = 'y'") == "2"
    finally:
        front.post(f"DROP VIEW {table}_view")
        front.post(f"DROP TABLE {table}_target")


# -- who an error belongs to


class Book:
    """The engine's errors, as they change while an insert runs."""

    def __init__(
        self,
        before: Mapping[int, Failure],
        after: Mapping[int, Failure],
        *,
        query_id: str = "ours",
        is_limited: bool = False,
    ) -> None:
        self._looks = [before, after]
        self._running = Running(query_id, is_limited)

    def failures(self) -> Mapping[int, Failure]:
        return self._looks.pop(0)

    def running(self, tag: str) -> Running:
        assert tag == "tag"
        return self._running


def failure(code: int, count: int, query_id: str) -> dict[int, Failure]:
    return {code: Failure(code, "SOME_ERROR", count, query_id, "why")}


@pytest.mark.parametrize(
    ("before", "after", "query_id", "code"),
    [
        ({}, {}, "ours", 0),
        (failure(243, 3, "theirs"), failure(243, 3, "theirs"), "ours", 0),
        ({}, failure(243, 1, "ours"), "ours", 243),
        (failure(243, 3, "theirs"), failure(243, 4, "ours"), "ours", 243),
        (failure(243, 3, "theirs"), failure(243, 4, "theirs"), "ours", 0),
        (failure(243, 3, "theirs"), failure(243, 5, "theirs"), "ours", 319),
        (failure(62, 3, "theirs"), failure(62, 9, "theirs"), "ours", 0),
        (failure(243, 3, "theirs"), failure(243, 4, "theirs"), "", 319),
    ],
)
def test_an_error_is_ours_others_or_not_to_be_told(
    before: dict[int, Failure], after: dict[int, Failure], query_id: str, code: int
) -> None:
    watch = Watch(Book(before, after, query_id=query_id), "tag")  # type: ignore[arg-type] # a fake
    watch.began()
    if not code:
        watch.ended()
        return
    with pytest.raises(ClickHouseError) as caught:
        watch.ended()
    assert caught.value.code == code


@pytest.mark.parametrize(("kills", "code"), [((0, 0), 0), ((0, 1), 319)])
def test_what_others_cancelled_may_be_ours_only_after_a_kill(kills: tuple[int, int], code: int) -> None:
    counts = iter(kills)
    watch = Watch(Book({}, failure(394, 2, "theirs")), "tag", kills=lambda: next(counts))  # type: ignore[arg-type]
    watch.began()
    if not code:
        watch.ended()
        return
    with pytest.raises(ClickHouseError) as caught:
        watch.ended()
    assert caught.value.code == code


def test_what_readers_of_others_met_is_passed_over() -> None:
    watch = Watch(Book({}, failure(27, 5, "theirs")), "tag")  # type: ignore[arg-type]
    watch.began()
    watch.ended()
