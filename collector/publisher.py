"""What the collector asks of whatever stores raw records. `collector.durable` and `collector.memory` implement it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple, Protocol


class Record(NamedTuple):
    """One raw record. Records of one key and lane stay in order; `historic` says which lane (`core.lanes`)."""

    key: bytes
    value: bytes
    historic: bool = False


class Failure(Enum):
    """Why a record is not stored."""

    RETRY = "retry"  # the store does not take it now
    TOO_LARGE = "too_large"  # and never will


# What became of a record: where it is stored (its receipt, e.g. `sluice.raw-3-1042`), or why it is not.
Fate = str | Failure
Done = Callable[[Sequence[Fate]], None]


class Publisher(Protocol):
    """The contract, in sentences that the tests of every implementation check:

    1. `publish` returns one fate a record, in their order, when all are known or a deadline has passed.
    2. A record with a receipt is stored durably; it will survive the death of this process.
    3. A record with a failure may nevertheless be stored (an acknowledgement can get lost): sending again must be
       safe.
    4. `publish` never raises for a reason that lies in the store.
    5. `submit` is `publish` for who does not wait: it calls `done` with the fates, once, from the event loop, and maybe
       before it returns. `done` does not raise.
    6. `trouble` is why the next `publish` is likely to fail, "" if it is not; `detail` says more about its state, in
       JSON's types. Neither blocks.
    """

    async def publish(self, records: Sequence[Record]) -> Sequence[Fate]: ...

    def submit(self, records: Sequence[Record], done: Done) -> None: ...

    def trouble(self) -> str: ...

    def detail(self) -> Mapping[str, object]: ...
