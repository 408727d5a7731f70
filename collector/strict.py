"""`?validate=strict`: what the streams would say of each event by its contract, at once and without storing anything.

Contracts are those the streams judge by: the files, and what was released since, which a thread of its own follows in
the control topic from the first such request on. Off the hot path: most collectors never see one.
"""

from __future__ import annotations

import asyncio
import threading
import time

from msgspec import UNSET

from collector.problems import NotNowError
from collector.publisher import Record
from collector.verdicts import StrictFault, Verdict
from core.errors import SluiceError
from core.log import get_logger
from core.settings import Settings
from schemas import envelope, released
from schemas.contracts import ContractError, Contracts
from schemas.registry import Registry, registry_at
from schemas.released import Released

log = get_logger(__name__)

# How long a request waits for contracts to be read and compiled, once in a process's life.
PATIENCE_S = 10.0
_POLL_S = 0.5


class StrictJudge:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._contracts: Contracts | None = None
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None

    async def judge(self, verdicts: list[Verdict], positions: list[int], records: list[Record]) -> None:
        """Make each accepted verdict say what the event's contract says.

        Raises:
            NotNowError: the contracts could not be read in time.
        """
        contracts = await self._current()
        for index, record in zip(positions, records, strict=True):
            verdicts[index] = _judged(contracts, index, verdicts[index], record)

    async def _current(self) -> Contracts:
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, name="contracts", daemon=True)
            self._thread.start()
        if self._contracts is None:
            await asyncio.to_thread(self._ready.wait, PATIENCE_S)
        if self._contracts is None:
            raise NotNowError("the contracts are not read yet", retry_after_s=1, code="contracts_unavailable")
        return self._contracts

    def _follow(self) -> None:
        try:
            self._read()
        except Exception as error:
            log.exception("strict.contracts_lost", error=str(error))
            self._thread = None  # the next request tries again

    def _read(self) -> None:
        registry = registry_at(self._settings.schemas_dir)
        found: dict[str, Released] = {}

        def take(key: str, value: bytes | None) -> None:
            if key.startswith(released.KEY_PREFIX) and value:
                try:
                    found[key] = released.decode(value)
                except SluiceError as error:
                    log.warning("strict.release_refused", key=key, error=error.message)

        if not self._settings.kafka_bootstrap:  # a server without Kafka judges by the files
            self._use(Contracts(registry))
            return
        from core.control import ControlFollower  # brings the Kafka client, which not every server here has

        follower = ControlFollower(self._settings, take, name="strict")
        try:
            follower.catch_up()
            known: dict[str, Released] | None = None
            while True:
                if known != found:
                    known = dict(found)
                    self._compile(registry, known)
                time.sleep(_POLL_S)
                follower.poll()
        finally:
            follower.close()

    def _compile(self, registry: Registry, known: dict[str, Released]) -> None:
        try:
            self._use(Contracts(registry.plus(known.values())))
        except SluiceError as error:  # as the streams do: what was in force stays
            log.warning("strict.contracts_refused", error=error.message)
            if self._contracts is None:
                self._use(Contracts(registry))

    def _use(self, contracts: Contracts) -> None:
        self._contracts = contracts
        self._ready.set()


def _judged(contracts: Contracts, index: int, verdict: Verdict, record: Record) -> Verdict:
    sent = envelope.decode(record.value)
    try:
        judged = contracts.judge(sent.head.event, sent.head.version, sent.payload)
    except ContractError as error:
        faults = [
            StrictFault(fault.code, fault.path, str(fault).removeprefix(f"{fault.path}: ")) for fault in error.faults
        ]
        return Verdict(
            verdict.event_id,
            "rejected",
            verdict.event_id_source,
            index=index,
            code=faults[0].code,
            field=faults[0].field,
            message=faults[0].message,
            contract=error.contract.label if error.contract else UNSET,
            faults=faults,
        )
    return Verdict(verdict.event_id, "accepted", verdict.event_id_source, contract=judged.contract.label)
