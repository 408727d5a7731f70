"""Whether the streams are paused, by whom and why: the value of one key of the control topic."""

from __future__ import annotations

import msgspec

from streams.limits import Halt

PAUSE_KEY = "streams"
# Contracts that operators went on with after a halt. The oldest are forgotten: within the hour of a release there are
# never as many.
_MAX_ACCEPTED = 16


class Pause(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The value under `PAUSE_KEY`; `{"paused": true}` is enough of one.

    `at_ms` is the writer's clock. `halt` is there if a limit paused. `accepted`: contracts that halt no more.
    """

    paused: bool = False
    reason: str = ""
    by: str = ""
    at_ms: int = 0
    halt: Halt | None = None
    accepted: tuple[str, ...] = ()


def decode(value: bytes | None) -> Pause:
    """Nothing under the key is no pause. Raises msgspec.DecodeError or UnicodeDecodeError."""
    return msgspec.json.decode(value, type=Pause) if value else Pause()


def halted(halt: Halt, *, by: str, at_ms: int, accepted: tuple[str, ...]) -> Pause:
    reason = f"{halt.contract} fails for {', '.join(halt.tenants)}"
    return Pause(paused=True, reason=reason, by=by, at_ms=at_ms, halt=halt, accepted=accepted)


def resumed(pause: Pause, *, by: str) -> Pause:
    """Going on after `pause`. A contract that halted is accepted with that: it would halt again at once."""
    more = (pause.halt.contract,) if pause.halt else ()
    accepted = tuple(dict.fromkeys((*pause.accepted, *more)))[-_MAX_ACCEPTED:]
    return Pause(by=by, accepted=accepted)
