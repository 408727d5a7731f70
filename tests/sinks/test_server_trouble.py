"""A real engine that cannot take rows for a while, or whose answer is lost: each row is there once in the end."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.errors import UnavailableError
from core.settings import Settings
from sinks.clickhouse import ClickHouse, ServerError, UncertainError
from sinks.plan import Plan, Source
from sinks.recount import differences
from sinks.row import Row
from sinks.tables import events
from sinks.writer import Block, Writer
from tests.oracle.proxy import Proxy
from tests.sinks.days import DAYS, prepare, views

# Tables whose insert fails: the base, before anything is stored, and a view's target, when the base has the block.
TARGETS = ["events_log", "pages_daily_log"]


@pytest.fixture
def server(database: Settings) -> ClickHouse:
    return prepare(database)


@pytest.fixture
def through(database: Settings, server: ClickHouse) -> Iterator[tuple[Proxy, ClickHouse]]:
    """A proxy before the engine, and a client behind it."""
    host, port = database.clickhouse_url.removeprefix("http://").split(":")
    proxy = Proxy((host, int(port)))
    yield proxy, ClickHouse(dataclasses.replace(database, clickhouse_url=f"http://127.0.0.1:{proxy.port}"))
    proxy.close()


def block(rows: list[Row]) -> Block:
    return Block(0, rows, Plan(rows[0].offset, rows[-1].offset, len(rows)), uncertain=False)


def writer(server: ClickHouse) -> Writer:
    return Writer(
        server,
        events(),
        Source("c", "t"),
        commit_plan=lambda _partition, _plan: None,
        after_doubt=lambda _day: None,
    )


def require_once(server: ClickHouse, rows: int) -> None:
    found = server.rows("SELECT count(), uniqExact(kafka_offset) FROM events")[0]
    assert (found, differences(server, DAYS[0], 0)) == ([rows, rows], [])


@pytest.mark.parametrize("table", TARGETS)
@pytest.mark.parametrize(
    ("setting", "number"),
    [
        ("table_readonly = 1", 774),
        ("parts_to_throw_insert = 1, parts_to_delay_insert = 1", 252),
        ("min_free_disk_bytes_to_perform_insert = 1000000000000000", 243),
    ],
    ids=["read only", "too many parts", "disk full"],
)
def test_what_a_table_refuses_for_a_while_lands_once(server: ClickHouse, table: str, setting: str, number: int) -> None:
    writer(server).write(block(views(0, 3)))
    if number == 252:
        server.execute(f"SYSTEM STOP MERGES {table}")
    server.execute(f"ALTER TABLE {table} MODIFY SETTING {setting}")
    held = block(views(10, 5))
    for _ in range(3):  # as often as the worker tries
        with pytest.raises(UnavailableError, match="cannot take rows now") as caught:
            writer(server).write(held)
        assert isinstance(caught.value.__cause__, ServerError)
        assert caught.value.__cause__.number == number
        assert held.uncertain
    names = ", ".join(part.partition(" ")[0] for part in setting.split(", "))
    server.execute(f"ALTER TABLE {table} RESET SETTING {names}")
    writer(server).write(held)
    require_once(server, 8)


def test_an_answer_that_is_lost_after_the_commit_is_found_out(
    through: tuple[Proxy, ClickHouse], server: ClickHouse
) -> None:
    proxy, client = through
    held = block(views(0, 5))
    proxy.set(drop_answers=True)
    with pytest.raises(UncertainError):
        writer(client).write(held)
    assert proxy.dropped_answers == 1
    assert held.uncertain
    assert server.scalar("SELECT count() FROM events") == 5, "it was done, and nobody was told"
    proxy.heal()
    writer(client).write(held)
    require_once(server, 5)


def test_an_insert_that_arrives_after_its_time_out_is_absorbed(
    through: tuple[Proxy, ClickHouse], server: ClickHouse, database: Settings
) -> None:
    """The sink gives up, sends again and is done; then the first one arrives."""
    proxy, _ = through
    slow = ClickHouse(
        dataclasses.replace(database, clickhouse_url=f"http://127.0.0.1:{proxy.port}"), read_timeout_s=0.3
    )
    held = block(views(0, 5))
    proxy.set(latency_s=1.5)
    with pytest.raises(UncertainError):
        writer(slow).write(held)
    assert server.scalar("SELECT count() FROM events") == 0, "it is on its way"
    writer(server).write(held)
    require_once(server, 5)
    time.sleep(2)
    require_once(server, 5)


def test_two_that_send_the_same_block_at_once_store_it_once(server: ClickHouse, database: Settings) -> None:
    """A sink that was frozen and the one that took its partition over."""
    for turn in range(5):
        rows = views(turn * 200, 200)
        with ThreadPoolExecutor(2) as both:
            for sent in [both.submit(_write_until_done, database, rows, uncertain) for uncertain in (False, True)]:
                sent.result(60)
        require_once(server, (turn + 1) * 200)


def _write_until_done(database: Settings, rows: list[Row], uncertain: bool) -> None:
    """As the worker does: with errors of two inserts at once the engine cannot tell whose is whose."""
    held = block(rows)
    held.uncertain = uncertain
    for number in range(8):
        try:
            writer(ClickHouse(database)).write(held)
        except UnavailableError:
            time.sleep(0.02 * 2**number)
            continue
        return
    raise AssertionError("never done")
