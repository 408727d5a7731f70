"""What the control topic tells a stream worker: whether to pause, and which contracts were released meanwhile.

Applied between batches. A value that cannot be used is logged and leaves what was in force: an operator's typing error
stops nobody's events.
"""

from __future__ import annotations

import msgspec

from core.control import ControlFollower
from core.errors import SluiceError
from core.log import get_logger
from core.metrics import gauge
from core.settings import Settings
from schemas import released, repairs
from schemas.contracts import Contracts
from schemas.registry import Registry
from schemas.released import Released
from schemas.repairs import Repairs, Rule
from streams import pause
from streams.engine import StreamEngine
from streams.pause import PAUSE_KEY, Pause

log = get_logger(__name__)


class WorkerControl:
    """Follows the topic for one worker. Belongs to the poll thread, as the follower does."""

    def __init__(self, settings: Settings, engine: StreamEngine, registry: Registry) -> None:
        self._engine = engine
        self._registry = registry
        self._released: dict[str, Released] = {}
        self._rules: dict[str, Rule] = {}
        self._in_force: dict[str, Released] = {}  # releases that are used
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
        self._engine.dead_letters.close()
        self._follower.close()

    def take(self, key: str, value: bytes | None) -> None:
        try:
            if key == PAUSE_KEY:
                self._pause(pause.decode(value))
            elif key == self._engine.dead_letters.key:
                self._engine.dead_letters.stored(value)
            elif key.startswith(released.KEY_PREFIX) and value:
                self._take_release(released.decode(value))
            elif key.startswith(repairs.KEY_PREFIX):
                self._take_rule(key, repairs.decode(value) if value else None)
        except (SluiceError, msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("streams.control_refused", key=key, error=str(error))

    def _pause(self, told: Pause) -> None:
        self._engine.pause(told.paused)
        self._engine.dead_letters.paused(told)
        log.info("streams.paused" if told.paused else "streams.not_paused", reason=told.reason, by=told.by)

    def _take_release(self, release: Released) -> None:
        if self._released.get(release.key) != release:  # said again is not released again
            for label in (release.label, *_leads_to(release)):
                self._engine.dead_letters.released(label, self._follower.stored_at_ms)
        self._released[release.key] = release
        self._changed = True

    def _take_rule(self, key: str, rule: Rule | None) -> None:
        if rule is None:
            self._changed = self._rules.pop(key, None) is not None or self._changed
        else:
            self._rules[key] = rule
            self._changed = True

    def _apply_contracts(self) -> None:
        # All that came at once together: one release may refer to another.
        if not self._changed:
            return
        self._changed = False
        try:
            try:
                contracts, in_force = self._compiled(self._released), dict(self._released)
            except SluiceError:
                in_force = self._usable()
                contracts = self._compiled(in_force)
        except SluiceError as error:  # not for a release, then
            log.exception("streams.contracts_refused", error=str(error))
            return
        for key, release in self._released.items():
            gauge("sluice_streams_contract_refused").labels(release.label).set(in_force.get(key) != release)
        self._in_force = in_force
        self._engine.use(contracts)
        log.info(
            "streams.contracts_released",
            versions=sorted(each.label for each in in_force.values()),
            rules=sorted(each.label for each in self._rules.values()),
        )

    def _compiled(self, releases: dict[str, Released]) -> Contracts:
        return Contracts(self._registry.plus(releases.values()), Repairs(self._rules.values()))

    def _usable(self) -> dict[str, Released]:
        """What is in force, and every release beyond it that can be used; those that cannot be are told.

        Again and again as long as one more can be used: one release may refer to another.
        """
        usable = dict(self._in_force)
        waiting = [each for key, each in self._released.items() if usable.get(key) != each]
        while True:
            refused: dict[str, SluiceError] = {}
            for release in waiting:
                try:
                    self._compiled(usable | {release.key: release})
                except SluiceError as error:
                    refused[release.key] = error
                else:
                    usable[release.key] = release
            if len(refused) == len(waiting):
                break
            waiting = [release for release in waiting if release.key in refused]
        for release in waiting:
            log.error("streams.contract_refused", contract=release.label, error=str(refused[release.key]))
        return usable


def _leads_to(release: Released) -> list[str]:
    """The contract that judges this version's events from now on, if it is another's."""
    version = release.source.get("supersededBy")
    return [f"{release.subject}:{version}"] if version else []
