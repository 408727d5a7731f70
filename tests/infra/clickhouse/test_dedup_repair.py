"""The landmine itself, on the real engine: a token whose part never came must land exactly once on its retry."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.infra.clickhouse.front import Front

DEDUPLICATED = "SETTINGS non_replicated_deduplication_window = 100"


def insert(front: Front, rows: str, token: str) -> None:
    reply = front.post(
        rows,
        query="INSERT INTO t FORMAT TSV",
        insert_deduplication_token=token,
        deduplicate_blocks_in_dependent_materialized_views=1,
        async_insert=0,
    )
    assert reply.status == 200, reply.text


def counts(front: Front) -> tuple[int, int]:
    """Rows of the base, and what the view's target says they are."""
    return int(front.value("SELECT count() FROM t")), int(front.value("SELECT sum(n) FROM r"))


def newest_part(front: Front, table: str) -> Path:
    path = front.value(
        f"SELECT path FROM system.parts WHERE table = '{table}' AND active ORDER BY max_block_number DESC"
    )
    part = Path(path)
    return part if part.is_absolute() else front.data / part


@pytest.fixture
def front(make_front: Callable[..., Front]) -> Front:
    made = make_front()
    made.start()
    made.post(f"CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id {DEDUPLICATED}")
    made.post(
        "CREATE TABLE r (k UInt8, n SimpleAggregateFunction(sum, UInt64)) "
        f"ENGINE = AggregatingMergeTree ORDER BY k {DEDUPLICATED}"
    )
    made.post("CREATE MATERIALIZED VIEW mv TO r AS SELECT 1 AS k, count() AS n FROM t GROUP BY k")
    insert(made, "1\n2\n", "first")
    return made


@pytest.mark.parametrize("lost", [("t", "r"), ("t",), ("r",)])
def test_a_killed_inserts_retry_lands_once(front: Front, lost: tuple[str, ...]) -> None:
    insert(front, "3\n4\n", "second")
    assert counts(front) == (4, 4)
    parts = [newest_part(front, table) for table in lost]
    front.kill()
    for part in parts:
        shutil.rmtree(part)  # what a kill between the record and the rename leaves
    front.start()
    assert front.log.count("clickhouse.dedup_record_dropped") == len(lost)
    assert counts(front) != (4, 4)
    for _ in range(2):
        insert(front, "3\n4\n", "second")
        insert(front, "1\n2\n", "first")
    assert counts(front) == (4, 4)


def test_rows_dropped_on_purpose_do_not_come_back(front: Front) -> None:
    insert(front, "3\n4\n", "second")
    front.post("ALTER TABLE t DROP PART 'all_2_2_0'")
    front.kill()
    front.start()
    assert "dedup_record_dropped" not in front.log
    # The engine forgets the token of what it drops: this is its own rule, not the repair's.
    assert front.value("SELECT count() FROM t") == "2"


@pytest.mark.parametrize("settled_by", ["two checkpoints", "a clean stop"])
def test_what_a_checkpoint_saw_stays_gone(make_front: Callable[..., Front], settled_by: str) -> None:
    """Its part went for a reason the log does not tell, as with TTL: the retry must not bring its rows back."""
    front = make_front(checkpoint_seconds=0.2)
    front.start()
    front.post(f"CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id {DEDUPLICATED}")
    insert(front, "1\n", "first")
    insert(front, "3\n4\n", "second")
    part = newest_part(front, "t")
    if settled_by == "a clean stop":
        assert front.stop() == 0
    else:
        time.sleep(0.7)
        front.kill()
    shutil.rmtree(part)
    front.start()
    assert "dedup_record_dropped" not in front.log
    insert(front, "3\n4\n", "second")
    assert front.value("SELECT count() FROM t") == "1"
