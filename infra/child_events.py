"""What the supervisor tells about its children: typed events as things happen, and a status of each at any time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class ChildState(Enum):
    WAITING = "waiting"  # its group's turn has not come
    STARTING = "starting"
    READY = "ready"
    BACKOFF = "restarting"  # it fell; the next start is scheduled
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Started:
    name: str
    pid: int


@dataclass(frozen=True, slots=True)
class Ready:
    name: str
    after_s: float


@dataclass(frozen=True, slots=True)
class Exited:
    """It ended without being asked to. `reason` is in words: how it ended and what it logged last."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Restarting:
    name: str
    after_s: float


@dataclass(frozen=True, slots=True)
class Stopped:
    name: str


ChildEvent = Started | Ready | Exited | Restarting | Stopped


@dataclass(frozen=True, slots=True)
class ChildStatus:
    """A snapshot. `since_ms` is the wall time at which `state` began, `last_reason` why it last fell."""

    name: str
    pid: int | None
    state: ChildState
    restarts: int
    last_reason: str
    since_ms: int
