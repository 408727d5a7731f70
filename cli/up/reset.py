"""`sluice reset`: empties a state folder, so that the next start begins with nothing. Never anything but a state
folder, and never while something runs on it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click

from cli.up.figures import DiskSource
from cli.up.words import size
from core.errors import ExitCode, StateError, StateLockedError
from core.settings import Settings
from infra.state import LOCK_FILE, VERSION_FILE, exclusive

_VERSION_START = "format="


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(*, yes: bool) -> int:
    """Delete all data in the state folder: events, tables, logs and the tracking key. Refuses while a stack runs.

    An external Kafka or ClickHouse is not touched.
    """
    folder = Settings.from_env(os.environ).state_dir.absolute()
    if not folder.exists():
        click.echo(f"nothing to reset: {folder} does not exist")
        return ExitCode.OK
    _require_state_folder(folder)
    try:
        with exclusive(folder):
            used = size(DiskSource(folder)().used_bytes)
            question = f"Delete everything in {folder} ({used})? This cannot be undone"
            if not yes and not click.confirm(question, err=True):
                click.echo("nothing was deleted", err=True)
                return ExitCode.INTERRUPTED
            empty(folder)
    except StateLockedError as error:
        error.hint = "`sluice down` stops it."
        raise
    click.echo(f"deleted {used} in {folder}")
    return ExitCode.OK


def _require_state_folder(folder: Path) -> None:
    try:
        text = (folder / VERSION_FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""
    if not text.startswith(_VERSION_START):
        raise StateError(
            f"{folder} is not a state folder of Sluice; nothing was deleted", hint="SLUICE_STATE_DIR names the folder."
        )


def empty(folder: Path) -> None:
    """Delete all but the lock, which is held. The version goes last: a reset that is killed can be done again.

    Raises:
        StateError: something cannot be deleted.
    """
    try:
        for entry in sorted(folder.iterdir(), key=lambda path: path.name == VERSION_FILE):
            if entry.name == LOCK_FILE:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    except OSError as error:
        raise StateError(f"{error.filename} cannot be deleted: {error.strerror}") from error
