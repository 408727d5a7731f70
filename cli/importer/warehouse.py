"""Which events are stored already, asked of ClickHouse: an id is found however long ago it came.

Deduplication in the stream forgets ids after its window, and the database forgets none. What is on its way between the
two is younger than the window, so each event is recognised by one or the other. Sends and counts nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Protocol
from urllib.parse import quote_plus

from cli.importer.batches import OutgoingEvent
from core.errors import RefusedError, SluiceError, UnavailableError
from core.settings import Settings
from sinks.clickhouse import ClickHouse, Parameter, parameter

# Ids travel in the address of the request, and servers take addresses of limited length (nginx in front of ClickHouse:
# 32 KiB by default is rare, 64 KiB is the HTTP parser's of the embedded one).
MAX_ENCODED_BYTES = 48 * 1024
# Times are stored in whole milliseconds; a day's bounds are not worth being exact about.
_MARGIN = timedelta(seconds=1)
_HINT = "Start ClickHouse and run the same import again, or import with --no-warehouse-check."

_RANGE = "AND occurred_at >= {since:DateTime64(3, 'UTC')} AND occurred_at <= {until:DateTime64(3, 'UTC')} "
_STORED = "SELECT DISTINCT event_id FROM events WHERE tenant = {tenant:String} %sAND event_id IN ({ids:Array(String)})"


class Warehouse(Protocol):
    def stored(self, events: Sequence[OutgoingEvent], /) -> frozenset[str]:
        """Ids of `events` that are stored.

        Raises:
            UnavailableError: nobody can say.
        """


class ClickHouseWarehouse:
    """The events of one tenant. Asks once at the start, so that an import does not begin what it cannot check."""

    def __init__(self, settings: Settings, *, tenant: str) -> None:
        """
        Raises:
            UnavailableError: ClickHouse does not answer, or has no events table to ask.
            ConfigError: no usable address is configured.
        """
        self._server = ClickHouse(settings)
        self._tenant = tenant
        self._ask("SELECT event_id FROM events LIMIT 0")

    def stored(self, events: Sequence[OutgoingEvent], /) -> frozenset[str]:
        dated = [event for event in events if event.event_id and event.occurred_at is not None]
        undated = [event for event in events if event.event_id and event.occurred_at is None]
        return frozenset(self._find(dated)) | frozenset(self._find(undated))

    def _find(self, events: Sequence[OutgoingEvent]) -> Iterator[str]:
        times = [event.occurred_at for event in events if event.occurred_at is not None]
        sql, bounds = _STORED % "", dict[str, Parameter]()
        if times:
            # The sorting key begins with tenant, event and day: this is what spares reading the other days.
            sql = _STORED % _RANGE
            bounds = {
                "since": f"{min(times) - _MARGIN:%Y-%m-%d %H:%M:%S}",
                "until": f"{max(times) + _MARGIN:%Y-%m-%d %H:%M:%S}",
            }
        for ids in chunks([event.event_id for event in events]):
            yield from (row[0] for row in self._ask(sql, tenant=self._tenant, ids=ids, **bounds))

    def _ask(self, sql: str, **parameters: Parameter) -> list[list[str]]:
        try:
            return self._server.rows(sql, **parameters)
        except (UnavailableError, RefusedError) as error:
            raise _unavailable(error) from error


def chunks(ids: Sequence[str]) -> Iterator[list[str]]:
    """`ids` in parts, none longer in an address than `MAX_ENCODED_BYTES`."""
    chunk: list[str] = []
    size = 0
    for id_ in ids:
        encoded = len(quote_plus(parameter([id_])))  # its brackets are longer than the comma it will have
        if chunk and size + encoded > MAX_ENCODED_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(id_)
        size += encoded
    if chunk:
        yield chunk


def _unavailable(error: SluiceError) -> UnavailableError:
    return UnavailableError(f"ClickHouse cannot say which events are stored already: {error.message}", hint=_HINT)
