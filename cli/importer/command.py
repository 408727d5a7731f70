"""`sluice import access-log`: options to arguments, totals to a summary, interruption to an exit code.

Where the collector and its key are when nothing is said about them is decided by `cli.endpoints`.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import cast, get_args

import click

from cli.importer.access_log import import_access_log
from cli.importer.display import display
from cli.importer.mapping import Consent, Mapping
from cli.importer.sender import Sending
from cli.importer.source import source_name
from cli.importer.summary import as_json, as_text
from cli.importer.totals import Progress, Totals
from core.errors import ConfigError, ExitCode, SluiceError
from core.settings import Settings


@click.command("access-log")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--url", default="", help="Address of the collector. Default: the running stack's.")
@click.option("--key-file", type=click.Path(path_type=Path), help="File with the tracking key. Default: the stack's.")
@click.option("--source", default="", help="Name of the log in event ids. Default: FILE's, without rotation suffixes.")
@click.option("--site", default="", help="Put before each path, e.g. https://example.org.")
@click.option("--consent", type=click.Choice(get_args(Consent)), default="granted", show_default=True)
@click.option("--rejects", type=click.Path(path_type=Path), help="File for lines that were not accepted (JSONL).")
@click.option("--batch", type=click.IntRange(1, 2_500), default=1_000, show_default=True, help="Events a request.")
@click.option(
    "--max-wait",
    type=click.FloatRange(min=0),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Give up when the collector took nothing for this long.",
)
@click.option("--json", "as_json_", is_flag=True, help="Print the summary as JSON.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def access_log(  # noqa: PLR0913 (one argument an option: click's way)
    *,
    files: tuple[str, ...],
    url: str,
    key_file: Path | None,
    source: str,
    site: str,
    consent: str,
    rejects: Path | None,
    batch: int,
    max_wait: float,
    as_json_: bool,
    quiet: bool,
) -> None:
    """Import web servers' access logs (common or combined format, plain or gzip; - is standard input).

    Importing the same log again, also when it has grown or was rotated, adds only what is new: each line is one
    event with an id of its own. Give the parts of a rotated log together; they are read oldest first.
    """
    settings = Settings.from_env(os.environ)
    collector_url, key = _endpoint(settings, url, key_file)
    path = rejects or _default_rejects(settings.state_dir, source or source_name(Path(files[0]).name))
    seen = Totals(complete=False)

    def summarise(totals: Totals) -> None:
        click.echo(as_json(totals, rejects=path) if as_json_ else as_text(totals, rejects=path))

    try:
        with display(sys.stderr, quiet=quiet) as show:

            def on_progress(progress: Progress) -> None:
                nonlocal seen
                seen = progress.totals
                if show is not None:
                    show(progress)

            totals = import_access_log(
                files,
                collector_url=collector_url,
                key=key,
                rejects=path,
                mapping=Mapping(source=source, site=site, consent=cast("Consent", consent)),
                sending=Sending(batch_events=batch, max_wait=max_wait),
                on_progress=on_progress,
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


def _default_rejects(state_dir: Path, source: str) -> Path:
    return state_dir / "rejects" / f"{re.sub(r'[^A-Za-z0-9._-]', '_', source)}.jsonl"


def _endpoint(settings: Settings, url: str, key_file: Path | None) -> tuple[str, str]:
    url = url or settings.collector_url
    key = _read_key(key_file) if key_file else settings.bootstrap_key
    if url and key:
        return url, key
    from cli.endpoints import resolve  # looks for a running stack, which is not always needed

    stack = resolve(settings)
    if not key and url.rstrip("/") not in ("", stack.collector_url.rstrip("/")):
        # The stack's key opens the stack; it is not handed to whoever answers elsewhere.
        raise ConfigError(f"no tracking key for {url}", hint="Give the file of one with --key-file.")
    return url or stack.collector_url, key or stack.bootstrap_key


def _read_key(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the key file {path} cannot be read: {error}") from error
