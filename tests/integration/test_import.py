"""`sluice import` on the real stack: killed and resumed, events as JSON lines, what is stored already is not sent."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cli.importer.batches import Origin, OutgoingEvent
from cli.importer.warehouse import ClickHouseWarehouse, chunks
from infra import ports

pytestmark = pytest.mark.stack

_ROOT = Path(__file__).parents[2]


@pytest.fixture
def start(client: Any) -> Callable[..., subprocess.Popen[str]]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}

    def start_(*argv: str, **more: str) -> subprocess.Popen[str]:
        state = {"SLUICE_STATE_DIR": str(client.stack.settings.state_dir), "PYTHONPATH": str(_ROOT)}
        return subprocess.Popen(
            [sys.executable, "-m", "cli", "import", *argv, "--json"],
            env=kept | state | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start_


@pytest.fixture
def sluice(start: Any) -> Callable[..., tuple[int, Any, str]]:
    """Runs an import to its end; gives exit code, summary and standard error."""

    def run(*argv: str, **more: str) -> tuple[int, Any, str]:
        child = start(*argv, "--quiet", **more)
        out, err = child.communicate(timeout=60)
        return child.returncode, msgspec.json.decode(out) if out else None, err

    return run


def log_lines(name: str, count: int, *, day: int = 1) -> str:
    return "".join(
        f"10.0.0.{n % 9} - - [{day:02}/Feb/2026:10:{n // 60 % 60:02}:{n % 60:02} +0000]"
        f' "GET /{name}/{n} HTTP/1.1" 200 5 "-" "Agent"\n'
        for n in range(count)
    )


def stored(client: Any, like: str, *, expected: int) -> list[int]:
    """Rows and different ids whose address begins so, once there are as many as expected."""
    deadline = time.monotonic() + 20
    while True:
        counts: list[int] = client.server.rows(
            "SELECT count(), uniqExact(event_id) FROM events WHERE startsWith(url, {like:String})", like=like
        )[0]
        if counts[0] >= expected or time.monotonic() > deadline:
            return counts
        time.sleep(0.05)


def test_killed_twice_and_resumed_every_line_is_one_row(client: Any, start: Any, sluice: Any, tmp_path: Path) -> None:
    log = tmp_path / "killed.log"
    log.write_text(log_lines("killed", 1_500))
    rows = 0
    for _ in range(2):
        child = start("access-log", str(log), "--rate", "400", "--quiet")
        rows += 200
        assert stored(client, "/killed/", expected=rows)[0] >= rows  # it is under way
        child.kill()
        child.communicate()
        client.settle()
    code, totals, err = sluice("access-log", str(log))
    assert code == 0, err
    assert (totals["lines"], totals["rejected"], totals["complete"]) == (1_500, 0, True)
    assert totals["accepted"] + totals["already_stored"] == 1_500
    assert totals["resumed"] > 200
    client.settle()
    assert stored(client, "/killed/", expected=1_500) == [1_500, 1_500]


def test_what_is_stored_is_not_sent_again(client: Any, sluice: Any, tmp_path: Path) -> None:
    log = tmp_path / "twice.log"
    log.write_text(log_lines("twice", 300) + log_lines("twice", 300, day=9) + "no line\n")
    code, totals, err = sluice("access-log", str(log))
    assert code == 0, err
    assert (totals["accepted"], totals["already_stored"]) == (600, 0)
    client.settle()
    assert stored(client, "/twice/", expected=600) == [600, 600]
    before = client.settle()
    code, totals, _ = sluice("access-log", str(log))
    assert (code, totals["lines"], totals["accepted"], totals["already_stored"]) == (0, 601, 0, 600)
    assert (totals["sent"], totals["rejected"]) == (0, 1)
    assert client.settle() == before  # the outcomes cover all of raw: nothing came in
    log.write_text(log.read_text() + log_lines("twice", 2, day=10))
    _, totals, _ = sluice("access-log", str(log))
    assert (totals["accepted"], totals["already_stored"]) == (2, 600)
    _, totals, _ = sluice("access-log", str(log), "--no-warehouse-check")
    assert (totals["accepted"], totals["already_stored"]) == (602, 0)
    assert client.settle()["duplicate"] - before.get("duplicate", 0) == 602


def test_events_with_rejects(client: Any, sluice: Any, tmp_path: Path) -> None:
    base = {"event_type": "page_view", "consent_state": "granted", "occurred_at": "2026-02-03T04:05:06.789Z"}
    events = [
        base | {"url": "/events/named", "event_id": "it's a \\ näme"},
        base | {"url": "/events/bare"},
        base | {"url": "/events/bare"},
        {"event_type": "page_view", "consent_state": "granted", "url": "/events/timeless", "event_id": "timeless"},
        base | {"url": "/events/denied", "consent_state": "denied"},
        base | {"url": "/events/unknown", "surprise": 1},
        base | {"url": "/events/tenant", "tenant": "someone-else"},
        base | {"url": "/events/large", "properties": {"x": "y" * 70_000}},
    ]
    path = tmp_path / "native.jsonl"
    path.write_bytes(b"\n".join([*map(msgspec.json.encode, events), b"{", b""]))
    rejects = tmp_path / "rejects.jsonl"
    code, totals, err = sluice("events", str(path), "--rejects", str(rejects))
    assert code == 0, err
    assert (totals["lines"], totals["accepted"], totals["consent_dropped"], totals["rejected"]) == (9, 4, 1, 4)
    rows = [msgspec.json.decode(row) for row in rejects.read_bytes().splitlines()]
    assert [(row["line"], row["code"]) for row in rows] == [
        (9, "json"), (6, "unknown_field"), (7, "tenant_mismatch"), (8, "too_large"),
    ]  # fmt: skip
    client.settle()
    assert stored(client, "/events/", expected=4) == [4, 4]
    times = client.server.rows(
        "SELECT DISTINCT toUnixTimestamp64Milli(occurred_at) FROM events WHERE url = '/events/bare'"
    )
    assert times == [[int(datetime(2026, 2, 3, 4, 5, 6, 789_000, UTC).timestamp() * 1000)]]  # historical
    code, totals, _ = sluice("events", str(path), "--rejects", str(rejects))
    assert (totals["accepted"], totals["already_stored"], totals["rejected"]) == (0, 4, 4)


def test_another_tenant_is_told(sluice: Any, client: Any, tmp_path: Path) -> None:
    log = tmp_path / "tenant.log"
    log.write_text(log_lines("tenant", 1))
    code, _, err = sluice("access-log", str(log), "--tenant", "someone-else")
    assert code == 78
    assert "not one of tenant 'someone-else'" in err
    code, totals, _ = sluice("access-log", str(log), "--tenant", client.stack.endpoints.bootstrap_tenant)
    assert (code, totals["accepted"]) == (0, 1)


def test_a_clickhouse_that_does_not_answer_is_no_reason_to_go_unchecked(sluice: Any, tmp_path: Path) -> None:
    log = tmp_path / "unchecked.log"
    log.write_text(log_lines("unchecked", 1))
    nowhere = f"http://127.0.0.1:{ports.pick()[0]}"
    code, totals, err = sluice("access-log", str(log), SLUICE_CLICKHOUSE_URL=nowhere)
    assert (code, totals) == (69, None)
    assert "--no-warehouse-check" in err


def test_ids_reach_the_database_as_they_are(client: Any) -> None:
    ids = ["a'b", "a\\b", "\\'", "\\\\", "é\u2028", "[x,y]", "{x:String}", "%27", "a\tb\nc", "x" * 128]
    found = [client.server.scalar("SELECT {ids:Array(String)}", ids=chunk) for chunk in chunks(ids * 400)]
    assert [id_ for chunk in found for id_ in chunk] == ids * 400
    assert len(found) > 1


def test_events_without_a_time_are_looked_for_on_all_days(client: Any) -> None:
    warehouse = ClickHouseWarehouse(client.stack.settings, tenant=client.stack.endpoints.bootstrap_tenant)
    client.settle()
    known = client.server.scalar("SELECT any(event_id) FROM events")
    origin = Origin("", 1, b"")
    assert warehouse.stored([]) == frozenset()
    assert warehouse.stored([OutgoingEvent(origin, b"", id_, None) for id_ in (known, "no", "")]) == {known}
    elsewhen = datetime(1999, 1, 1, tzinfo=UTC)
    assert warehouse.stored([OutgoingEvent(origin, b"", known, elsewhen)]) == frozenset()
