"""One process at a time works on a plan or a run.

Who works says so in the table `replay_workers`, again every few seconds. Whoever comes writes down that they are there
and then looks: of two that come at once at least one sees the other and leaves. A process that was killed is known to
be gone at once on its own machine, elsewhere after HELD_S without a word.

A process that was frozen for longer may wake up beside its successor. Generations are made for that: what it does
then is not verified, and not shown (`sinks.generations.restatement`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import msgspec

from core.errors import RefusedError, SluiceError
from core.ids import RandomIds
from core.log import get_logger
from sinks.clickhouse import ClickHouse

log = get_logger(__name__)

# Longer than an engine takes to come back, for nobody can say anything meanwhile.
HELD_S = 60
_BEAT_S = 5.0
_SETTINGS = {"async_insert": "0", "insert_deduplicate": "0"}


class HeldError(RefusedError):
    """Another process works on it now."""

    code = "held"


@contextmanager
def holding(server: ClickHouse, name: str, *, who: str) -> Iterator[None]:
    """Work on the plan or run `name` as long as the block lasts.

    Raises:
        HeldError: somebody else does.
    """
    me = f"{_machine()} {os.getpid()} {_started(os.getpid())} {RandomIds().uuid4().hex}"
    _say(server, name, me, who, done=False)
    stop = threading.Event()
    beats = threading.Thread(target=_beat, args=(server, name, me, who, stop), name="replay.holding", daemon=True)
    beats.start()
    try:
        if others := [each for worker, each in _working(server, name) if worker != me]:
            raise HeldError(
                f"{others[0]} works on {name} now", hint="One process does at a time: wait until it is done."
            )
        yield
    finally:
        stop.set()
        beats.join()
        try:
            _say(server, name, me, who, done=True)
        except SluiceError as error:
            log.warning("replay.holding_not_ended", name=name, error=error.message)


def is_held(server: ClickHouse, name: str) -> bool:
    """Whether a process works on the plan or run `name`."""
    return bool(_working(server, name))


def _beat(server: ClickHouse, name: str, me: str, who: str, stop: threading.Event) -> None:
    while not stop.wait(_BEAT_S):
        try:
            _say(server, name, me, who, done=False)
        except SluiceError as error:
            log.warning("replay.beat_lost", name=name, error=error.message)


def _say(server: ClickHouse, name: str, worker: str, who: str, *, done: bool) -> None:
    line = {"name": name, "worker": worker, "who": who, "done": int(done)}
    server.insert("INSERT INTO replay_workers FORMAT JSONEachRow", msgspec.json.encode(line), settings=_SETTINGS)


def _working(server: ClickHouse, name: str) -> list[tuple[str, str]]:
    """(worker, who) of all that work on `name`."""
    rows = server.rows(
        "SELECT worker, any(who) FROM replay_workers WHERE name = {name:String} GROUP BY worker "
        "HAVING max(done) = 0 AND max(at) > now64(3) - toIntervalSecond({held:UInt32}) ORDER BY min(at)",
        name=name,
        held=HELD_S,
    )
    return [(worker, who) for worker, who in rows if not _is_gone(worker)]


def _is_gone(worker: str) -> bool:
    """Whether it was a process of this machine, and has ended."""
    machine, pid, started, _ = worker.split(" ")
    return machine == _machine() != "" and _started(int(pid)) != started


@cache
def _machine() -> str:
    """This boot of this machine, as seen by processes that see each other's numbers; empty where that is not known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When the process began, in ticks since boot (proc(5), field 22 of `stat`); empty if it is not there."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in {"Z", "X"} else fields[19]
