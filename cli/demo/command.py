"""`sluice demo`: real web traffic end to end on real parts, and its answers beside an independent recount."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import click

from cli.demo.comparison import Compared, compare
from cli.demo.recount import Recount, recount
from cli.demo.report import Report
from cli.demo.second_act import SecondAct
from cli.importer.access_log import import_access_log
from cli.importer.display import display
from cli.importer.warehouse import ClickHouseWarehouse
from cli.ledger import LedgerReader, wait_until_complete
from cli.stack import RunningStack, running
from core.errors import ExitCode, UnavailableError
from core.log import configure
from core.settings import Settings
from infra.state import open_folder
from sinks.clickhouse import ClickHouse

_LOG_FILE = Path(__file__).parent / "data" / "access.log.gz"
_PATIENCE_S = 60.0
_SETTLE_S = 2.0


@click.command()
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    default=Path(".demo"),
    show_default=True,
    help="State folder of the demo.",
)
@click.option("--keep", is_flag=True, help="Leave the stack up until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def demo(*, state: Path, keep: bool, as_json: bool) -> int:
    """Start the whole stack, import 10,000 lines of a public access log over HTTP, and compare.

    The lines go over HTTP into Kafka, through the Avro contract and deduplication, into ClickHouse. What the rollups
    answer is shown beside a recount of the file by separate plain code. Then a contract is wrong on purpose, and a
    replay puts its dead letters right. Exits 1 where anything differs. Run it again: nothing is added.
    """
    settings = replace(Settings.from_env(os.environ), state_dir=state)
    logs = open_folder(state) / "logs"
    logs.mkdir(exist_ok=True)
    report = Report(as_json=as_json)
    with (logs / "demo.log").open("a", encoding="utf-8") as log_file, _terminable():
        configure(process="demo", level=settings.log_level, form="json", stream=log_file)
        with running(settings, on_step=report.step) as stack:
            equal = _run(stack, report)
            if keep:
                report.kept(state, stack.endpoints)
                _wait_for_signal()
        if not keep:
            report.gone(state)
    return ExitCode.OK if equal else ExitCode.DIFFERENCE


def _run(stack: RunningStack, report: Report) -> bool:
    server = ClickHouse(stack.settings)
    act = SecondAct(stack.settings, server)
    act.prepare()
    reader = LedgerReader(stack.settings)
    try:
        before = dict(wait_until_complete(reader, timeout_s=_PATIENCE_S).outcomes)
        report.step("importing")
        started = time.monotonic()
        with display(sys.stderr, quiet=report.as_json) as show:
            totals = import_access_log(
                [_LOG_FILE],
                collector_url=stack.endpoints.collector_url,
                key=stack.endpoints.bootstrap_key,
                rejects=stack.settings.state_dir / "rejects" / "access.log.jsonl",
                on_progress=show,
                # Also when the deduplication window has forgotten them: the demo may be run again next month.
                warehouse=ClickHouseWarehouse(stack.settings, tenant=stack.endpoints.bootstrap_tenant),
            )
        if not totals.complete:
            raise KeyboardInterrupt
        report.step("waiting until every event has its outcome and its row")
        ledger = wait_until_complete(reader, timeout_s=_PATIENCE_S)
        _wait_for_rows(server, ledger.outcomes["curated"])
        seconds = time.monotonic() - started
        # Without the tickets of the second act, which are another tenant's.
        tenant = stack.endpoints.bootstrap_tenant
        rows = int(server.scalar("SELECT count() FROM events WHERE tenant = {tenant:String}", tenant=tenant))
    finally:
        reader.close()
    new = {kind: count - before.get(kind, 0) for kind, count in ledger.outcomes.items()}
    compared = _compare_when_settled(server, recount(_LOG_FILE), tenant=stack.endpoints.bootstrap_tenant)
    report.step("replaying what a wrong contract refused")
    told = act.play()
    return report.result(totals=totals, outcomes=new, rows=rows, seconds=seconds, compared=compared, told=told)


def _wait_for_rows(server: ClickHouse, expected: int) -> None:
    """Wait until the base table holds as many live rows as were curated, whatever was restated since."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        rows = int(server.scalar("SELECT uniqExact(raw_partition, raw_offset) FROM events_log WHERE run = ''"))
        if rows >= expected:
            return
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"{rows} of {expected} rows have arrived in ClickHouse after {_PATIENCE_S:g} s",
                hint="The sink's log says why: logs/sink.log in the state folder.",
            )
        time.sleep(0.05)


def _compare_when_settled(server: ClickHouse, expected: Recount, *, tenant: str) -> list[Compared]:
    """Compare once the rollups have had their moment: a view is filled right after the base, not with it."""
    deadline = time.monotonic() + _SETTLE_S
    while True:
        compared = compare(server, expected, tenant=tenant)
        if all(c.equal for c in compared) or time.monotonic() > deadline:
            return compared
        time.sleep(0.05)


@contextmanager
def _terminable() -> Iterator[None]:
    """Make SIGTERM end us as Ctrl-C does: everything that was started is stopped in order."""

    def interrupt(_signum: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait_for_signal() -> None:
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return
