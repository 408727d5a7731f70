"""A record of a topic on its way to a table."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One record. `arrival_ms` is its timestamp on the topic: when the raw record that it stems from was appended."""

    offset: int
    arrival_ms: int
    value: bytes | None
    key: bytes | None = None
