"""A publisher that keeps records in a list: for tests, ours and users', and for measuring the path before Kafka."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from collector.publisher import Done, Failure, Fate, Record


class MemoryPublisher:
    """`refuse` holds the record keys that fail and how; `down` makes every record fail and `trouble` say so."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.refuse: dict[bytes, Failure] = {}
        self.down = ""

    async def publish(self, records: Sequence[Record]) -> Sequence[Fate]:
        return [self._fate(record) for record in records]

    def submit(self, records: Sequence[Record], done: Done) -> None:
        done([self._fate(record) for record in records])

    def trouble(self) -> str:
        return self.down

    def detail(self) -> Mapping[str, object]:
        return {}

    def _fate(self, record: Record) -> Fate:
        if self.down:
            return Failure.RETRY
        if record.key in self.refuse:
            return self.refuse[record.key]
        self.records.append(record)
        return f"memory-0-{len(self.records) - 1}"
