"""Named places where a fault test may kill or freeze the process: `SLUICE_FAILPOINT=sink.after_insert:kill`.

`kill@3` acts the third time a process reaches the place; `kill@3*10` does so in ten processes. Each action leaves a
marker in `<state>/failpoints`, because a killed process forgets: without it the restarted one would die there again,
for ever. Off by default: `hit` is then one falsy check of a module global, and no name is ever looked up.
"""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from core.errors import ConfigError

Failpoint = Literal[
    "collector.before_publish",
    "collector.after_publish",
    "collector.before_spool_sync",
    "collector.after_spool_sync",
    "collector.before_spool_acknowledge",
    "streams.after_consume",
    "streams.before_commit",
    "streams.after_commit",
    "sink.before_plan",
    "sink.after_plan",
    "sink.after_insert",
    "sink.after_verify",
    "sink.after_commit",
    "refusals.before_commit",
    "refusals.after_commit",
    "generations.after_claim",
    "generations.after_handover",
    "generations.after_block",
    "generations.after_chunk",
    "generations.after_verify",
    "generations.before_publish",
    "generations.after_publish",
    "generations.rolling_back",
    "generations.before_rollback",
    "generations.after_rollback",
    "generations.after_prune_mark",
    "replay.after_coverage",
    "replay.before_announce",
    "replay.after_announce",
    "replay.after_range",
    "replay.after_day",
    "replay.before_publish",
    "replay.after_publish",
]
_ACTIONS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
_FORM = re.compile(r"(?P<name>[a-z._]+):(?P<action>[a-z]+)(?:@(?P<nth>[1-9]\d*))?(?:\*(?P<times>[1-9]\d*))?", re.ASCII)


@dataclass(slots=True)
class _Armed:
    signal: signal.Signals
    left: int
    times: int
    markers: Path


_armed: dict[Failpoint, _Armed] = {}


def arm(spec: str, *, state_dir: Path) -> None:
    """Arm the failpoints of `spec`, e.g. `sink.after_insert:kill@2,streams.before_commit:stop`.

    Raises:
        ConfigError: a part is malformed or names no failpoint.
    """
    _armed.clear()
    for part in filter(None, (p.strip() for p in spec.split(","))):
        found = _FORM.fullmatch(part)
        if found is None or found["action"] not in _ACTIONS:
            raise ConfigError(f"SLUICE_FAILPOINT: {part!r} must look like name:kill, name:stop@3 or name:kill@3*10")
        if found["name"] not in get_args(Failpoint):
            raise ConfigError(
                f"SLUICE_FAILPOINT names {found['name']!r}, which is no failpoint", hint=", ".join(get_args(Failpoint))
            )
        _armed[cast("Failpoint", found["name"])] = _Armed(
            _ACTIONS[found["action"]], int(found["nth"] or 1), int(found["times"] or 1), state_dir / "failpoints"
        )


def hit(name: Failpoint) -> None:
    if _armed:
        _hit(name)


def _hit(name: Failpoint) -> None:
    armed = _armed.get(name)
    if armed is None:
        return
    armed.left -= 1
    if armed.left == 0 and _mark(armed, name):
        os.kill(os.getpid(), armed.signal)


def _mark(armed: _Armed, name: Failpoint) -> bool:
    """Whether there is an action left for this place: takes the first free marker."""
    armed.markers.mkdir(parents=True, exist_ok=True)
    for number in range(1, armed.times + 1):
        try:
            (armed.markers / f"{name}.{number}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return True
    return False
