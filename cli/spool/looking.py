"""`sluice spool ls` and `verify`: they change nothing, and may run beside collectors."""

from __future__ import annotations

import os
import time
from dataclasses import asdict

import click

from cli.schemas.output import console, print_json, print_plain, table
from cli.up.words import size, span
from collector.spool.inspection import FolderReport, inspect
from collector.spool.spool import root_of
from core.errors import ExitCode
from core.settings import Settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def ls(*, as_json: bool) -> None:
    """List the folders of the spool: whose they are, and what they owe to Kafka.

    A folder is live while its process runs, else an orphan: the next collector that starts takes it over, and so does
    `sluice spool drain`. What is set aside was refused by Kafka for its size.
    """
    root = root_of(Settings.from_env(os.environ))
    found = inspect(root)
    if as_json:
        print_json({"root": str(root), "folders": [asdict(each) for each in found], **_totals(found)})
        return
    now_s = time.time()
    rows = table("Folder", "Kind", "Process", "Records", "Size", "Oldest")
    for each in found:
        oldest = span(now_s - each.oldest_ms / 1000) if each.oldest_ms else ""
        rows.add_row(each.folder, each.kind, str(each.pid or ""), f"{each.records:,}", size(each.bytes), oldest)
    if found:
        print_plain(console(), rows)
    click.echo(_sentence(found, str(root)))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def verify(*, as_json: bool) -> int:
    """Read every record of the spool and compare it with its checksum.

    Exits 0 if all is sound, 1 if something is damaged, torn or cannot be read. What is damaged is skipped when the
    spool is drained; all else in the same file is still sent.
    """
    root = root_of(Settings.from_env(os.environ))
    found = inspect(root, whole=True)
    bad = [each for each in found if not each.sound]
    if as_json:
        print_json({"root": str(root), "sound": not bad, "folders": [asdict(each) for each in found], **_totals(found)})
    else:
        for each in bad:
            click.echo(
                f"{each.folder}: {each.damaged} damaged places, {each.torn_bytes} bytes torn off, "
                f"{each.unreadable} files that cannot be read"
            )
        records = sum(each.records for each in found)
        click.echo(f"{records:,} records in {len(found)} folders: " + ("not all sound" if bad else "all sound"))
    return ExitCode.DIFFERENCE if bad else ExitCode.OK


def _totals(found: list[FolderReport]) -> dict[str, int]:
    owed = [each for each in found if each.kind != "set_aside"]
    return {
        "records": sum(each.records for each in owed),
        "bytes": sum(each.bytes for each in owed),
        "set_aside": sum(each.records for each in found if each.kind == "set_aside"),
    }


def _sentence(found: list[FolderReport], root: str) -> str:
    totals = _totals(found)
    owed = f"{totals['records']:,} records owed to Kafka in {root}" if totals["records"] else f"nothing owed in {root}"
    return f"{owed}; {totals['set_aside']:,} set aside" if totals["set_aside"] else owed
