"""Kafka's storage folder: formatted exactly once, or not there at all.

Kafka formats in several writes and refuses a folder that has only some of them. So it formats a neighbour, which
takes its name by rename when it is whole.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from core.errors import StateError
from core.log import get_logger

log = get_logger(__name__)

_META = "meta.properties"
_TIMEOUT_S = 120


def ensure_formatted(data_dir: Path, *, command: Callable[[Path, str], tuple[str, ...]], env: Mapping[str, str]) -> str:
    """Format `data_dir` unless it is; returns the cluster's id. `command(folder, cluster_id)` is the formatter's argv.

    Raises:
        StateError: the formatter failed, or the folder is not Kafka's.
    """
    half_done = data_dir.with_name(f"{data_dir.name}.formatting")
    if half_done.exists():
        shutil.rmtree(half_done)
    if not data_dir.exists():
        new_id = _new_cluster_id()
        _run(command(half_done, new_id), env)
        half_done.rename(data_dir)
        log.info("kafka.formatted", folder=str(data_dir), cluster=new_id)
    return cluster_id(data_dir)


def cluster_id(data_dir: Path) -> str:
    """
    Raises:
        StateError: `data_dir` was not formatted.
    """
    try:
        lines = (data_dir / _META).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise StateError(
            f"{data_dir} is not a storage folder of Kafka: {_META} cannot be read", hint="Restore it, or move it away."
        ) from error
    properties = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    try:
        return properties["cluster.id"]
    except KeyError:
        raise StateError(f"{data_dir / _META} names no cluster", hint="Restore the folder, or move it away.") from None


def _run(argv: tuple[str, ...], env: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StateError(f"Kafka's storage could not be formatted: {error}") from error
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise StateError(f"Kafka's storage could not be formatted (exit code {done.returncode})", hint=said)


def _new_cluster_id() -> str:
    """A random UUID as Kafka writes them; like its own, never with a leading dash, which looks like an option."""
    while True:
        made = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not made.startswith("-"):
            return made
