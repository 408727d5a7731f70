"""Switches that operators turn while processes run: entries `flag/NAME` of the control topic. All are on by default."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from core.log import get_logger

log = get_logger(__name__)

PREFIX = "flag/"
FlagName = Literal[
    "tracking.ingest.enabled",  # off: collectors take no events and say 503
    "tracking.automation.enabled",  # off: nothing is triggered by events
]
NAMES: tuple[FlagName, ...] = get_args(FlagName)


class Flag(msgspec.Struct, frozen=True, omit_defaults=True):
    """The value of an entry. `at_ms` is the writer's clock."""

    enabled: bool
    by: str = ""
    reason: str = ""
    at_ms: int = 0


ON = Flag(enabled=True)
encode = msgspec.json.encode
_decode = msgspec.json.Decoder(Flag).decode


class Flags:
    """What the topic says. Values are replaced whole, so any thread may ask."""

    def __init__(self) -> None:
        self._told: dict[str, Flag] = dict.fromkeys(NAMES, ON)

    def __getitem__(self, name: FlagName) -> Flag:
        return self._told[name]

    def take(self, key: str, value: bytes | None) -> None:
        """One entry of the control topic. What cannot be read leaves what was in force; a removed entry is on."""
        name = key.removeprefix(PREFIX)
        if name == key or name not in self._told:
            return
        try:
            flag = _decode(value) if value is not None else ON
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("flags.entry_refused", name=name, error=str(error))
            return
        if flag.enabled != self._told[name].enabled:
            log.warning("flags.changed", name=name, enabled=flag.enabled, by=flag.by, reason=flag.reason)
        self._told[name] = flag
