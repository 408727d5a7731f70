"""Who works on a plan or a run, and what is deleted of those that nobody works on: on a real engine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest

from core.settings import Settings
from replay import holding as holdings
from replay.holding import HeldError, holding, is_held
from replay.plans import Plan, Plans, Run, RunReport, RunState
from replay.pruning import Pruned, prune
from replay.scratch import Scratch
from replay.selection import Selection
from replay.suppression import Subject, Suppressed
from sinks import migrate
from sinks.clickhouse import ClickHouse
from tests.infra.clickhouse.front import PASSWORD, Front

_HOLDS = """
import sys, time
from core.settings import Settings
from replay.holding import holding
from sinks.clickhouse import ClickHouse
with holding(ClickHouse(Settings.from_env({"SLUICE_CLICKHOUSE_URL": sys.argv[1], "SLUICE_CLICKHOUSE_USER": "default",
        "SLUICE_CLICKHOUSE_PASSWORD": sys.argv[2]})), sys.argv[3], who="ann@host"):
    print("there", flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with Front(tmp_path_factory.mktemp("engine") / "data") as engine:
        found = Settings(
            clickhouse_url=f"http://127.0.0.1:{engine.port}", clickhouse_user="default", clickhouse_password=PASSWORD
        )
        migrate.apply(found)
        yield found


@pytest.fixture
def server(settings: Settings) -> ClickHouse:
    return ClickHouse(settings)


def test_one_works_at_a_time(server: ClickHouse) -> None:
    with holding(server, "run-1", who="ann@host"), holding(server, "run-2", who="ann@host"):
        with pytest.raises(HeldError, match="ann@host works on run-1 now"), holding(server, "run-1", who="bob@host"):
            pytest.fail("two work on it")
        assert is_held(server, "run-1")
    assert not is_held(server, "run-1")
    with holding(server, "run-1", who="bob@host"):
        assert is_held(server, "run-1")


def test_who_was_killed_works_no_more(server: ClickHouse, settings: Settings) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", _HOLDS, settings.clickhouse_url, PASSWORD, "run-3"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "there\n"
        with pytest.raises(HeldError), holding(server, "run-3", who="bob@host"):
            pytest.fail("two work on it")
    finally:
        other.kill()
        other.communicate()
    with holding(server, "run-3", who="bob@host"):
        pass


def test_a_process_elsewhere_is_believed_as_long_as_it_speaks(
    server: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(holdings, "_machine", lambda: "another")
        holdings._say(server, "run-4", "another 1 1 x", "ann@host", done=False)
    assert is_held(server, "run-4")
    monkeypatch.setattr(holdings, "HELD_S", 0)
    assert not is_held(server, "run-4")


def test_what_killed_plans_left_is_deleted_and_what_is_worked_on_stays(server: ClickHouse) -> None:
    plans = Plans(server)
    for name in ("kept", "old", "unfinished", "killed", "in_the_making"):
        Scratch(server, name).create()
    for name, at_ms in (("kept", 2_000), ("old", 1_000), ("unfinished", 1_000)):
        plans.keep(_plan(name, at_ms))
    plans.note(_run("unfinished", "running"))
    plans.note(_run("old", "published"))
    used = Suppressed([Subject("demo", visitor_id="v-1")])
    used.create(server, plan="kept")
    with holding(server, "in_the_making", who="sluice replay plan"):
        done = prune(server, before_ms=1_500)
    # Four tables of the plan that was killed, and the list of subjects that a killed run of another one left.
    assert done == Pruned(plans=1, leftovers=5, unfinished=["replay-unfinished"])
    assert sorted(plan.id for plan in plans.plans()) == ["kept", "unfinished"]
    assert _owners(server) == {"kept", "unfinished", "in_the_making"}
    assert prune(server, before_ms=1_500) == Pruned(plans=0, leftovers=4, unfinished=["replay-unfinished"])


def _owners(server: ClickHouse) -> set[str]:
    """Plans that have a working table."""
    tables = server.rows(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND "
        "name LIKE 'replay_%' AND engine = 'MergeTree'"
    )
    kinds = ("replay_rows_", "replay_refused_", "replay_changes_", "replay_late_", "replay_suppressed_")
    return {name.removeprefix(kind) for (name,) in tables for kind in kinds if name.startswith(kind)}


def _plan(name: str, at_ms: int) -> Plan:
    return msgspec.convert(
        {
            "id": name,
            "at_ms": at_ms,
            "selection": Selection(from_ms=0, to_ms=1),
            "contracts": "",
            "shadow": False,
            "versions": {},
            "through": {},
            **dict.fromkeys(("gaps", "refusals", "fields", "days", "rollups"), ()),
            **dict.fromkeys(("from_kafka", "from_archive", "selected", "accepted", "changed", "unchanged"), 0),
            **dict.fromkeys(("removed", "still", "suppressed", "duplicates", "seconds", "estimate_s"), 0),
        },
        Plan,
    )


def _run(plan: str, state: RunState) -> Run:
    return Run(id=f"replay-{plan}", plan=plan, state=state, who="ann@host", why="a test", report=RunReport())
