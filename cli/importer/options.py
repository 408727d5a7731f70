"""What all `sluice import …` commands have in common: their options, and how a run ends.

A command says how to call the library; here are progress, the summary (also after an error), and exit codes.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import click

from cli.importer import target
from cli.importer.checkpoint import file_name
from cli.importer.display import display
from cli.importer.inputs import expand, sources
from cli.importer.job import Continuity
from cli.importer.sender import Sending
from cli.importer.settlement import OnProgress
from cli.importer.summary import as_json, as_text
from cli.importer.totals import Progress, Totals
from cli.importer.warehouse import Warehouse
from core.errors import ExitCode, SluiceError
from core.settings import Settings
from infra.state import open_folder

_OPTIONS = (
    click.argument("files", nargs=-1, required=True, metavar="FILE..."),
    click.option("--url", default="", help="Address of the collector. Default: the running stack's."),
    click.option(
        "--key-file", type=click.Path(path_type=Path), help="File with the tracking key. Default: the stack's."
    ),
    click.option("--tenant", default="", help="Must be the key's. Default: the stack's."),
    click.option(
        "--source", default="", help="Name of the file in event ids. Default: FILE's, without rotation suffixes."
    ),
    click.option("--rejects", type=click.Path(path_type=Path), help="File for lines that were not accepted (JSONL)."),
    click.option(
        "--rate",
        type=click.FloatRange(min=0, min_open=True),
        metavar="N",
        help="Send at most N events a second. Default: as fast as the collector takes them.",
    ),
    click.option("--batch", type=click.IntRange(1, 2_500), default=1_000, show_default=True, help="Events a request."),
    click.option(
        "--max-wait",
        type=click.FloatRange(min=0),
        default=300.0,
        show_default=True,
        metavar="SECONDS",
        help="Give up when the collector took nothing for this long.",
    ),
    click.option("--restart", is_flag=True, help="Start over, though an earlier run of this import was cut off."),
    click.option("--no-warehouse-check", is_flag=True, help="Do not ask ClickHouse which events are stored already."),
    click.option("--json", "as_json_", is_flag=True, help="Print the summary as JSON."),
    click.option("--quiet", is_flag=True, help="Show no progress."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """The options that all imports share, as given."""

    files: tuple[str, ...]
    url: str
    key_file: Path | None
    tenant: str
    source: str
    rejects: Path | None
    rate: float | None
    batch: int
    max_wait: float
    restart: bool
    no_warehouse_check: bool
    as_json_: bool
    quiet: bool


class Import(Protocol):
    """A library call in which only what is special to it is filled in."""

    def __call__(
        self,
        files: Sequence[str | Path],
        *,
        collector_url: str,
        key: str,
        rejects: Path,
        sending: Sending,
        on_progress: OnProgress,
        continuity: Continuity,
        warehouse: Warehouse | None,
    ) -> Totals: ...


def common_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options to a function that takes them as one `Common`, its first argument."""

    @functools.wraps(command)
    def gathered(**given: Any) -> None:
        names = Common.__slots__
        command(Common(**{name: given.pop(name) for name in names}), **given)

    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return gathered


def run(common: Common, import_: Import) -> None:
    """Call `import_`, show how far it is, and end with a summary.

    Raises:
        SluiceError: after the summary of what was done until then.
        SystemExit: interrupted.
    """
    settings = Settings.from_env(os.environ)
    files = expand(common.files)
    found = target.find(
        settings,
        url=common.url,
        key_file=common.key_file,
        tenant=common.tenant,
        warehouse_check=not common.no_warehouse_check,
    )
    state = open_folder(settings.state_dir)
    first = sources(files, source=common.source)[0]
    rejects = common.rejects or state / "rejects" / f"{file_name(first)}.jsonl"
    seen = Totals(complete=False)

    def summarise(totals: Totals) -> None:
        click.echo(as_json(totals, rejects=rejects) if common.as_json_ else as_text(totals, rejects=rejects))

    try:
        with display(sys.stderr, quiet=common.quiet) as show:

            def on_progress(progress: Progress) -> None:
                nonlocal seen
                seen = progress.totals
                if show is not None:
                    show(progress)

            totals = import_(
                files,
                collector_url=found.collector_url,
                key=found.key,
                rejects=rejects,
                sending=Sending(
                    batch_events=common.batch, max_wait=common.max_wait, tenant=found.tenant, rate=common.rate or 0.0
                ),
                on_progress=on_progress,
                continuity=Continuity(state / "imports", restart=common.restart),
                warehouse=found.warehouse,
            )
    except (SluiceError, KeyboardInterrupt) as error:
        if seen.lines:
            summarise(seen)
        if isinstance(error, SluiceError):
            raise
        raise SystemExit(ExitCode.INTERRUPTED) from None
    summarise(totals)
    if not totals.complete:
        raise SystemExit(ExitCode.INTERRUPTED)
