"""What decides over requests beside their contents. `collector.control` has the real ones of a process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from starlette.routing import Route

from collector.abuse import AbuseLog
from collector.drops import DropLog
from collector.keys import Keys
from collector.limits import Limits
from core.flags import Flags


def _none() -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Controls:
    """Without `limits` nothing is limited, without `abuse` nothing is told of what was refused, without `drops`
    nothing of what was dropped.

    `routes` are those that change what decides. `trouble` says why keys cannot be judged now, "" if they can."""

    keys: Keys
    flags: Flags = field(default_factory=Flags)
    limits: Limits | None = None
    abuse: AbuseLog | None = None
    drops: DropLog | None = None
    routes: Sequence[Route] = ()
    trouble: Callable[[], str] = _none
