"""kill -9 of every process once during an import: the final counts equal the recount."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from cli.demo.comparison import compare
from cli.demo.recount import recount
from cli.importer.access_log import import_access_log
from cli.importer.sender import Sending
from cli.importer.totals import Progress
from cli.ledger import LedgerReader, wait_until_complete
from cli.stack import RunningStack, running
from core.settings import Settings
from infra.child_events import ChildEvent, Exited
from sinks.clickhouse import ClickHouse

pytestmark = pytest.mark.stack

_LOG_FILE = Path("cli/demo/data/access.log.gz")
# After how many lines which process is killed. Every one of the stack's is in it.
_KILLS = {1_000: "streams", 2_500: "clickhouse", 4_000: "collector", 5_500: "kafka", 7_000: "sink"}


class _Killer:
    """Kills from a thread of its own, as an outsider would, when the import has come far enough."""

    def __init__(self, stack: RunningStack) -> None:
        self._stack = stack
        self._due = sorted(_KILLS.items())
        self._threads: list[threading.Thread] = []

    def __call__(self, progress: Progress) -> None:
        if self._due and progress.totals.lines >= self._due[0][0]:
            _, name = self._due.pop(0)
            supervisor = self._stack.engines if name in {"kafka", "clickhouse"} else self._stack.flow
            thread = threading.Thread(target=supervisor.kill, args=(name,))
            thread.start()
            self._threads.append(thread)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()
        assert not self._due, f"the import ended before these were killed: {self._due}"


def test_every_process_killed_once_during_an_import(tmp_path: Path) -> None:
    fallen: list[str] = []

    def on_event(event: ChildEvent) -> None:
        if isinstance(event, Exited):
            fallen.append(event.name)

    with running(Settings(state_dir=tmp_path / "state"), on_event=on_event) as stack:
        killer = _Killer(stack)
        totals = import_access_log(
            [_LOG_FILE],
            collector_url=stack.endpoints.collector_url,
            key=stack.endpoints.bootstrap_key,
            rejects=tmp_path / "rejects.jsonl",
            sending=Sending(batch_events=250, max_wait=60.0),
            on_progress=killer,
        )
        killer.join()
        reader = LedgerReader(stack.settings)
        ledger = wait_until_complete(reader, timeout_s=60)
        reader.close()
        server = ClickHouse(stack.settings)
        rows = _settled_rows(server, ledger.outcomes["curated"])
        assert set(fallen) >= set(_KILLS.values())
        expected = recount(_LOG_FILE)
        assert totals.accepted == expected.events
        assert rows == expected.events
        assert server.scalar("SELECT uniqExact(event_id) FROM events") == expected.events
        assert [c.title for c in compare(server, expected, tenant="demo") if not c.equal] == []


def _settled_rows(server: ClickHouse, expected: int) -> int:
    """The row count, once it has reached what is expected and a moment more, in which nothing may be added."""
    deadline = time.monotonic() + 60
    while (rows := _count(server)) < expected:
        assert time.monotonic() < deadline, f"{rows} of {expected} rows"
        time.sleep(0.1)
    time.sleep(1.0)
    return _count(server)


def _count(server: ClickHouse) -> int:
    return int(server.scalar("SELECT count() FROM events_log"))
