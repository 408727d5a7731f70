"""A publisher that keeps records in a list: for tests, ours and users', and for measuring the path before Kafka."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from collector.publisher import Failure, Record

_STORED: Mapping[int, Failure] = {}


class MemoryPublisher:
    """`refuse` holds the record keys that fail and how; `down` makes every record fail and `trouble` say so."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.refuse: dict[bytes, Failure] = {}
        self.down = ""

    async def publish(self, records: Sequence[Record]) -> Mapping[int, Failure]:
        if self.down:
            return dict.fromkeys(range(len(records)), Failure.RETRY)
        if not self.refuse:
            self.records.extend(records)
            return _STORED
        failed = {at: self.refuse[record.key] for at, record in enumerate(records) if record.key in self.refuse}
        self.records.extend(record for at, record in enumerate(records) if at not in failed)
        return failed

    def trouble(self) -> str:
        return self.down
