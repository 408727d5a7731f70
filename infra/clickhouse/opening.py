"""Opens the engine on a folder that a killed process may have left in any state.

    1. repair the deduplication logs (the engine reads them once, when it opens)
    2. checkpoint them as they are now, so that the next start knows what this run wrote
    3. open; when one table's definition is in the way, move it aside, say so, and try again

The caller holds the folder's lock.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from infra.clickhouse import bricked, dedup_log
from infra.clickhouse.access.engine import configured
from infra.clickhouse.access.rights import Rights
from infra.clickhouse.dedup_log import Checkpoint
from infra.clickhouse.engine import Engine
from infra.clickhouse.folder_lock import FolderLockedError, engine_holder

log = logging.getLogger(__name__)

# More tables than this in the way is not one failed statement: a person should look.
MAX_MOVED_ASIDE: Final = 20
CONFIG_FOLDER: Final = "front-config"
_LOCKED_BY_ENGINE: Final = "Cannot lock file"


class EngineDidNotOpenError(Exception):
    """The message is the engine's own."""


@dataclass(slots=True)
class _Words:
    """What the engine printed: its exceptions say only that something failed."""

    text: str = field(default="")


def open_engine(data: Path, *, rights: Rights | None = None) -> Engine:
    """With the roles of `rights`. Raises `FolderLockedError` or `EngineDidNotOpenError`."""
    checkpoint = Checkpoint(data)
    for dropped in dedup_log.repair(data, checked=checkpoint.read()):
        record = {"log": str(dropped.log.relative_to(data)), "part": dropped.part, "block": dropped.block}
        log.warning("clickhouse.dedup_record_dropped", extra=record)
    checkpoint.take(settled=True)
    for _ in range(MAX_MOVED_ASIDE + 1):
        words = _Words()
        try:
            with configured(rights, folder=data / CONFIG_FOLDER), _captured_stderr(words):
                return Engine(data)
        except Exception as error:  # noqa: BLE001  chDB raises bare RuntimeError; `_heal` tells what it is
            _heal(f"{words.text}\n{error}", data=data)
    raise EngineDidNotOpenError(f"more than {MAX_MOVED_ASIDE} tables keep the engine from opening")


def _heal(words: str, *, data: Path) -> None:
    """Return when another try may work."""
    if _LOCKED_BY_ENGINE in words:
        raise FolderLockedError(data, engine_holder(data))
    blamed = bricked.find(words, data=data)
    if blamed is None:
        raise EngineDidNotOpenError(" ".join(words.split()))
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    target = bricked.move_aside(blamed, data=data, stamp=stamp)
    moved = str(target.relative_to(data))
    reason = " ".join(words.split())[:500]
    log.error("clickhouse.table_moved_aside", extra={"table": blamed.table, "moved_to": moved, "reason": reason})


@contextmanager
def _captured_stderr(words: _Words) -> Iterator[None]:
    """The engine writes to file descriptor 2 itself; Python's `sys.stderr` never sees it."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            words.text = file.read().decode("utf-8", "replace")
