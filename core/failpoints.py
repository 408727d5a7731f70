"""Named places where a fault test may kill or freeze the process: `SLUICE_FAILPOINT=sink.after_insert:kill`.

`kill@3` acts the third time the place is reached. Off by default: `hit` is then one falsy check of a module global,
and no name of a failpoint is ever looked up.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import Literal, cast, get_args

from core.errors import ConfigError

Failpoint = Literal[
    "streams.after_consume",
    "streams.before_commit",
    "streams.after_commit",
    "sink.before_plan",
    "sink.after_plan",
    "sink.after_insert",
    "sink.after_verify",
    "sink.after_commit",
]
_ACTIONS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


@dataclass(slots=True)
class _Armed:
    signal: signal.Signals
    left: int


_armed: dict[Failpoint, _Armed] = {}


def arm(spec: str) -> None:
    """Arm the failpoints of `spec`, e.g. `sink.after_insert:kill@2,streams.before_commit:stop`."""
    _armed.clear()
    for part in filter(None, (p.strip() for p in spec.split(","))):
        name, _, rest = part.partition(":")
        action, _, nth = rest.partition("@")
        if name not in get_args(Failpoint):
            raise ConfigError(
                f"SLUICE_FAILPOINT names {name!r}, which is no failpoint", hint=", ".join(get_args(Failpoint))
            )
        if action not in _ACTIONS or not (nth or "1").isdecimal() or int(nth or "1") < 1:
            raise ConfigError(f"SLUICE_FAILPOINT: {part!r} must look like name:kill or name:stop@3")
        _armed[cast("Failpoint", name)] = _Armed(_ACTIONS[action], int(nth or "1"))


def hit(name: Failpoint) -> None:
    if _armed:
        armed = _armed.get(name)
        if armed is not None:
            armed.left -= 1
            if armed.left == 0:
                os.kill(os.getpid(), armed.signal)
