"""A disk of ClickHouse that is full, told as what it is."""

from __future__ import annotations

from core.errors import DiskFullError
from sinks.clickhouse import ServerError

# CANNOT_WRITE_TO_FILE_DESCRIPTOR, NOT_ENOUGH_SPACE: ClickHouse's src/Common/ErrorCodes.cpp
_NUMBERS = frozenset({75, 243})


def without_room(error: BaseException, *, hint: str) -> DiskFullError | None:
    """What to say instead of `error` if ClickHouse has no room left."""
    if not isinstance(error, ServerError):
        return None
    if error.number not in _NUMBERS and "No space left on device" not in error.message:
        return None
    return DiskFullError("ClickHouse has no room left on its disk", hint=hint)
