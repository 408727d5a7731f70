"""A record of another topic that is written together with entries of the control topic, such as an audit record."""

from __future__ import annotations

from typing import NamedTuple


class Beside(NamedTuple):
    topic: str
    key: bytes
    value: bytes | None
