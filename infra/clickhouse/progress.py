"""Tells a client that asked for it how far its statement is, in header lines, until the answer begins.

The pauses grow: every eight lines they double, so that a statement of an hour sends about a hundred lines. Clients
refuse heads of more (Python's standard library counts 100 lines, node 16 KiB).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from infra.clickhouse.exchange import Exchange

HEADER: Final = b"X-ClickHouse-Progress"
_LINES_A_PACE: Final = 8


async def report(
    exchange: Exchange, look: Callable[[], Awaitable[Mapping[str, int] | None]], *, seconds: float
) -> None:
    """Until the head of the answer is out. `look` gives the figures of the statement, or None while it does not run."""
    lines = 0
    while True:
        await asyncio.sleep(seconds)
        figures = await look()
        if exchange.started:
            return
        if figures is None:
            continue
        text = json.dumps({name: str(value) for name, value in figures.items()}, separators=(",", ":"))
        exchange.send_early(HEADER, text.encode())
        lines += 1
        if lines % _LINES_A_PACE == 0:
            seconds *= 2
