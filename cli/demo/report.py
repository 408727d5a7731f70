"""What the demo shows: steps while it works, then the answers side by side, then how to go on."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from cli.demo.comparison import Compared
from cli.demo.second_act import TICKETS, Told, expected_amount
from cli.endpoints import Endpoints
from cli.importer.totals import Totals

_SHOWN_ROWS = 5
_SAME_SUBJECT_S = 2.0
_COUNT = "SELECT count() FROM events"
_FIRST_QUERY = "SELECT path, sum(views) AS views FROM pages_daily GROUP BY path ORDER BY views DESC LIMIT 5"


class Report:
    """Steps go to standard error, the result to standard output."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._out = Console(highlight=False)
        self._err = Console(stderr=True, highlight=False)
        self._started = time.monotonic()
        self._subject = ""
        self._said = 0.0

    def step(self, text: str) -> None:
        """Say what is done now. Of a counted step, such as a download, a line now and then."""
        now = time.monotonic()
        subject = text.split(" ", 1)[0]
        if self.as_json or (subject == self._subject and now - self._said < _SAME_SUBJECT_S):
            return
        self._subject, self._said = subject, now
        self._err.print(f"[dim]{time.monotonic() - self._started:6.1f} s[/dim]  {text} …")

    def result(
        self,
        *,
        totals: Totals,
        outcomes: dict[str, int],
        rows: int,
        seconds: float,
        compared: list[Compared],
        told: Told,
    ) -> bool:
        """Print everything; returns whether all lines are accounted for and all answers are equal."""
        outcomes = {kind: outcomes.get(kind, 0) for kind in ("curated", "duplicate", "dead_letter")}
        accounted = totals.accepted == sum(outcomes.values()) and (
            totals.lines == totals.accepted + totals.rejected + totals.consent_dropped + totals.already_stored
        )
        equal = accounted and all(c.equal for c in compared) and told.right
        if self.as_json:
            document = {
                "equal": equal,
                "lines": totals.lines,
                "accepted": totals.accepted,
                "rejected": totals.rejected,
                "already_stored": totals.already_stored,
                "outcomes": outcomes,
                "rows": rows,
                "seconds": round(seconds, 3),
                "answers": [
                    {"title": c.title, "equal": c.equal, "rollup": c.rollup, "recount": c.recount} for c in compared
                ],
                "replay": {
                    "right": told.right,
                    "dead_letters": told.dead_letters,
                    "accepted": told.plan.accepted if told.plan else 0,
                    "tickets": told.tickets,
                    "rollup": told.rollup,
                    "amount": told.amount,
                },
            }
            sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
            return equal
        self._accounts(totals, outcomes, rows, seconds, accounted=accounted)
        for answer in compared:
            self._answer(answer)
        self._second_act(told)
        self._verdict(equal=equal)
        return equal

    def _accounts(
        self, totals: Totals, outcomes: dict[str, int], rows: int, seconds: float, *, accounted: bool
    ) -> None:
        self._out.print()
        self._out.print(f"[bold]{totals.lines:,} lines[/bold] of a public access log in {seconds:.1f} s:")
        self._out.print(f"  {totals.accepted:>7,} accepted by the collector, each acknowledged by Kafka")
        self._out.print(f"  {totals.rejected:>7,} rejected")
        self._out.print(f"  {totals.already_stored:>7,} in ClickHouse already, so not sent")
        self._out.print("of the accepted:")
        self._out.print(f"  {outcomes['curated']:>7,} rows added to ClickHouse ({rows:,} there now)")
        self._out.print(f"  {outcomes['duplicate']:>7,} recognised as duplicates")
        self._out.print(f"  {outcomes['dead_letter']:>7,} dead-lettered")
        self._out.print("  every line accounted for" if accounted else "[red]  lines are NOT all accounted for[/red]")

    def _answer(self, answer: Compared) -> None:
        mark = "[green]equal[/green]" if answer.equal else "[red]DIFFERENT[/red]"
        table = Table("", "rollup", "recount", title=f"{answer.title}: {mark}", title_justify="left", box=None)
        table.columns[1].justify = table.columns[2].justify = "right"
        expected = dict(answer.recount)
        for label, count in answer.rollup[:_SHOWN_ROWS]:
            table.add_row(label or "(none)", f"{count:,}", f"{expected.get(label, 0):,}")
        self._out.print()
        self._out.print(table)
        if len(answer.rollup) > _SHOWN_ROWS:
            self._out.print(f"[dim] and {len(answer.rollup) - _SHOWN_ROWS} more, compared too[/dim]")
        if not answer.equal:
            self._out.print(f"[red]  recount: {answer.recount}[/red]")

    def _second_act(self, told: Told) -> None:
        self._out.print()
        self._out.print(f"[bold]{TICKETS} tickets[/bold], of a contract that takes whole amounts only:")
        if told.plan is None:
            self._out.print("  replayed by an earlier demo")
        else:
            self._out.print(f"  {told.dead_letters:>7,} dead-lettered; then the contract was mended")
            self._out.print(f"  {told.plan.accepted:>7,} accepted by the plan of a replay, and published at once")
        mark = "[green]equal[/green]" if told.right else "[red]DIFFERENT[/red]"
        table = Table("", "here", "expected", title=f"after it: {mark}", title_justify="left", box=None)
        table.columns[1].justify = table.columns[2].justify = "right"
        table.add_row("tickets in the base", f"{told.tickets:,}", f"{TICKETS:,}")
        table.add_row("tickets in the rollup", f"{told.rollup:,}", f"{TICKETS:,}")
        table.add_row("amount", told.amount, expected_amount())
        self._out.print(table)

    def _verdict(self, *, equal: bool) -> None:
        self._out.print()
        if equal:
            self._out.print("[bold green]Every rollup equals the recount.[/bold green]")
        else:
            self._out.print("[bold red]The rollups and the recount differ.[/bold red]")

    def kept(self, state: Path, endpoints: Endpoints) -> None:
        """Say how to query the stack that stays up."""
        if self.as_json:
            return
        self._out.print("\nThe stack is up until Ctrl-C. In another terminal:", markup=False)
        self._out.print(
            f"  SLUICE_STATE_DIR={shlex.quote(str(state))} .venv/bin/sluice query {shlex.quote(_FIRST_QUERY)}\n"
            f"  curl -u default:$(cat {state}/clickhouse.password) '{endpoints.clickhouse_url}/?database=sluice' "
            f"-d {shlex.quote(_COUNT)}",
            markup=False,
            soft_wrap=True,
        )

    def gone(self, state: Path) -> None:
        if not self.as_json:
            self._out.print(
                f"\nStopped. Its data stays in {state}: `scripts/demo --state {shlex.quote(str(state))} --keep` "
                "brings it up again to query it.",
                markup=False,
                soft_wrap=True,
            )
