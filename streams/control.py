"""What the control topic tells a stream worker: whether to pause, and which contracts were released meanwhile.

Applied between batches. A value that cannot be used is logged and leaves what was in force: an operator's typing error
stops nobody's events.
"""

from __future__ import annotations

import msgspec

from core.control import ControlFollower
from core.errors import SluiceError
from core.log import get_logger
from core.settings import Settings
from schemas import released
from schemas.contracts import Contracts
from schemas.registry import Registry
from schemas.released import Released
from streams.engine import StreamEngine

log = get_logger(__name__)

PAUSE_KEY = "streams"


class Pause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The value under `PAUSE_KEY`."""

    paused: bool = False


class WorkerControl:
    """Follows the topic for one worker. Belongs to the poll thread, as the follower does."""

    def __init__(self, settings: Settings, engine: StreamEngine, registry: Registry) -> None:
        self._engine = engine
        self._registry = registry
        self._released: dict[str, Released] = {}
        self._changed = False
        self._follower = ControlFollower(settings, self.take, name=f"streams.{settings.streams_worker_id}")

    def catch_up(self) -> None:
        """Take all that is there, before the first batch is judged."""
        self._follower.catch_up()
        self._apply_contracts()

    def poll(self) -> None:
        self._follower.poll()
        self._apply_contracts()

    def close(self) -> None:
        self._follower.close()

    def take(self, key: str, value: bytes | None) -> None:
        try:
            if key == PAUSE_KEY:
                self._engine.pause(msgspec.json.decode(value, type=Pause).paused if value else False)
            elif key.startswith(released.KEY_PREFIX) and value:
                self._released[key] = released.decode(value)
                self._changed = True
        except (SluiceError, msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("streams.control_refused", key=key, error=str(error))

    def _apply_contracts(self) -> None:
        # All that came at once together: one release may refer to another.
        if not self._changed:
            return
        self._changed = False
        try:
            contracts = Contracts(self._registry.plus(self._released.values()))
        except SluiceError as error:
            log.exception("streams.contracts_refused", error=str(error))
            return
        self._engine.use(contracts)
        log.info("streams.contracts_released", versions=sorted(each.label for each in self._released.values()))
