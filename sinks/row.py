"""A record of a topic on its way to a table."""

from __future__ import annotations

from typing import NamedTuple

# Where a `Date` of ClickHouse ends (2149-06-07), and with it the days that rows can be partitioned by.
_END_MS = 65_536 * 86_400_000


class Row(NamedTuple):
    """One record. `arrival_ms` is its timestamp on the topic: when the raw record that it stems from was appended."""

    offset: int
    arrival_ms: int
    value: bytes | None
    key: bytes | None = None

    @property
    def has_day(self) -> bool:
        """Whether the timestamp is of a day that tables know. 0 and below is what a record has that was given none."""
        return 0 < self.arrival_ms < _END_MS
