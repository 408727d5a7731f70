"""Stream workers as processes, without a supervisor's reflexes: one may stay away, be frozen, or meet its twin."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Self

import msgspec

from core.settings import Settings
from infra.process import Child, ChildSpec

_ROOT = Path(__file__).parents[2]
_INHERITED = ("HOME", "LANG", "PATH", "TZ", "VIRTUAL_ENV")
# As the supervisor does after a first fall.
_RESTART_S = 0.2
# A worker that never stops for SIGTERM is a defect; the product's own limit is 20 s.
_STOP_GRACE_S = 30.0
# A worker that was killed or thawed needs about this long to be as before: imports, joining the group, catching up.
_AFTERMATH_S = 5.0


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happened to a worker, and until when it may be felt."""

    kind: str
    at: float
    until: float


@dataclass(slots=True)
class Worker:
    """One process. `back_at` and `thaw_at` are times of the monotonic clock."""

    worker_id: str
    name: str
    child: Child
    back_at: float | None = None
    thaw_at: float | None = None
    replaced: bool = False  # its end is final

    @property
    def undisturbed(self) -> bool:
        return self.back_at is None and self.thaw_at is None and not self.replaced


@dataclass(slots=True)
class Fleet:
    """Belongs to one thread, which has to live as long as the workers: the kernel ties them together.

    `plant` is a folder with a `sitecustomize.py`. `failpoints` are texts as in `Settings.failpoint`, of which each
    start draws one; a worker that stops itself there is thawed after a while.
    """

    settings: Settings
    seed: int = 0
    plant: str = ""
    argv: tuple[str, ...] = (sys.executable, "-m", "cli", "streams")
    failpoints: tuple[str, ...] = ("",)
    stop_s: tuple[float, float] = (0.5, 9.0)
    workers: list[Worker] = field(default_factory=list)
    log: list[tuple[float, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    _random: random.Random = field(default_factory=random.Random)
    _ids: int = 0

    def __enter__(self) -> Self:
        self._random.seed(self.seed)
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.child.terminate()
        for worker in self.workers:
            worker.child.stop()

    def begin(self) -> None:
        """Count time, and what happens, from now on."""
        self.began = time.monotonic()
        self.log.clear()
        self.faults.clear()

    def add(self, *, failpoint: str | None = None) -> Worker:
        """A worker with an id that none had before."""
        worker = self._new(str(self._ids), "", failpoint)
        self._ids += 1
        return worker

    def kill(self, worker: Worker, *, away_s: float = _RESTART_S) -> None:
        worker.child.kill()
        worker.child.poll()
        worker.back_at = time.monotonic() + away_s

    def replace(self, worker: Worker) -> None:
        """kill -9; another worker, with another id, comes in its place."""
        self.kill(worker)
        worker.replaced, worker.back_at = True, None
        self.note(f"{self.add().name} comes in its place")

    def freeze(self, worker: Worker, seconds: float) -> None:
        worker.child.send(SIGSTOP)
        worker.thaw_at = time.monotonic() + seconds

    def twin(self, worker: Worker, seconds: float) -> None:
        """Freeze it and start another process with its id, as a scheduler does that thinks a machine is gone."""
        self.freeze(worker, seconds)
        worker.replaced = True
        self._new(worker.worker_id, f"-{len(self.workers)}", None)

    def look(self, *, armed: bool = True) -> None:
        """Do what is due and notice what happened. Workers that start with `armed` draw a failpoint."""
        now = time.monotonic()
        for worker in self.workers:
            code = worker.child.poll()
            if worker.thaw_at is not None and (code is not None or now >= worker.thaw_at):
                worker.thaw_at = None
                worker.child.send(SIGCONT)
                self.note(f"thaw {worker.name}")
            if code is None:
                if worker.thaw_at is None and _is_stopped(worker.child.pid):
                    seconds = self._random.uniform(*self.stop_s)
                    worker.thaw_at = now + seconds
                    self.fault("stop at a failpoint", worker, seconds)
            elif worker.back_at is not None and now >= worker.back_at:
                self._start(worker, None if armed else "")
            elif worker.back_at is None and not worker.replaced:
                self.fault("end by itself", worker)
                self.note(f"{worker.name} {worker.child.reason()}")
                worker.back_at = now + _RESTART_S

    @property
    def calm(self) -> bool:
        """Whether everyone who should run does, and nothing is due."""
        return all(
            w.child.poll() is not None if w.replaced else w.undisturbed and w.child.is_ready() for w in self.workers
        )

    def fault(self, kind: str, worker: Worker, seconds: float = 0.0) -> None:
        now = time.monotonic()
        self.faults.append(Fault(kind, now, now + seconds + _AFTERMATH_S))
        self.note(f"{kind}: {worker.name}" + (f" for {seconds:.1f} s" if seconds else ""))

    def note(self, text: str) -> None:
        self.log.append((time.monotonic() - self.began, text))

    def said(self) -> Iterator[tuple[str, dict[str, object]]]:
        """Worker id and log line, for all lines of all workers."""
        for worker in self.workers:
            for line in worker.child.spec.log_path.read_bytes().splitlines():
                try:
                    record = msgspec.json.decode(line)
                except msgspec.DecodeError:
                    continue
                if isinstance(record, dict):
                    yield worker.worker_id, record

    def _new(self, worker_id: str, suffix: str, failpoint: str | None) -> Worker:
        name = f"{worker_id}{suffix}"
        worker = Worker(worker_id, name, Child(self._spec(worker_id, name, "")))
        self.workers.append(worker)
        self._start(worker, failpoint)
        return worker

    def _start(self, worker: Worker, failpoint: str | None) -> None:
        drawn = self._random.choice(self.failpoints) if failpoint is None else failpoint
        worker.child.spec = self._spec(worker.worker_id, worker.name, drawn)
        worker.back_at = None
        worker.child.start()
        self.note(f"start {worker.name}" + (f" with {drawn}" if drawn else ""))

    def _spec(self, worker_id: str, name: str, failpoint: str) -> ChildSpec:
        settings = replace(self.settings, streams_worker_id=worker_id, failpoint=failpoint)
        env = {variable: os.environ[variable] for variable in _INHERITED if variable in os.environ}
        return ChildSpec(
            name=f"streams-{name}",
            argv=self.argv,
            env=env | settings.to_env() | {"PYTHONPATH": os.pathsep.join(filter(None, (self.plant, str(_ROOT))))},
            log_path=settings.state_dir / "logs" / f"streams-{name}.log",
            stop_grace_s=_STOP_GRACE_S,
        )


def _is_stopped(pid: int | None) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False
