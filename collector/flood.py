"""Keeps one tenant's flood out of the other tenants' way: its events go through the historic lane.

Partitions are shared, and a stream worker may not skip what lies in front of another tenant's event. So it is decided
before: a tenant that sends more than its share of the live lane for longer than a burst is *diverted*, with all of its
events from then on, until it has kept within the rate for a minute. Nothing is refused by this; its events come later.
Order holds within each lane, so it is shaken twice, at the beginning and at the end, and not with every event.

Counted by each collector process for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from collector.publisher import Record
from core.clock import Clock
from core.log import get_logger
from core.metrics import counter

log = get_logger(__name__)

# How many seconds' worth may come at once. What this lets through delays others by about a second.
_BURST_S = 5.0
# How long a tenant that was diverted must keep within the rate. Shorter shakes the order of its events more often.
_CALM_S = 60.0
# Tenants that are remembered; beyond it those that are within their rate are forgotten.
_MOST_TENANTS = 10_000


class _Tenant:
    """A token bucket: `room` events may come at once."""

    __slots__ = ("diverted", "exceeded_at", "looked_at", "room")

    def __init__(self, room: float, now: float) -> None:
        self.room, self.looked_at = room, now
        self.diverted = False
        self.exceeded_at = 0.0


class Flood:
    """`rate` is in events a second and tenant, 0 diverts nobody."""

    def __init__(self, rate: int, clock: Clock) -> None:
        self._rate = rate
        self._burst = rate * _BURST_S
        self._clock = clock
        self._tenants: dict[bytes, _Tenant] = {}

    def routed(self, records: Sequence[Record]) -> Sequence[Record]:
        """The same records, those of diverted tenants marked as historic."""
        if not self._rate:
            return records
        if len(records) == 1:  # most requests
            (record,) = records
            if not record.historic and self._is_diverted(_tenant(record), 1):
                return [self._diverted(record)]
            return records
        routed: list[Record] = []
        for tenant, of_tenant in groupby(records, _tenant):
            mine = list(of_tenant)
            # What is historic anyway takes no room in the live lane.
            live = sum(not record.historic for record in mine)
            if live and self._is_diverted(tenant, live):
                mine = [record if record.historic else self._diverted(record) for record in mine]
            routed += mine
        return routed

    def _diverted(self, record: Record) -> Record:
        counter("sluice_collector_diverted_events_total").inc()
        return record._replace(historic=True)

    def _is_diverted(self, name: bytes, events: int) -> bool:
        now = self._clock.monotonic()
        tenant = self._tenants.get(name) or self._new(name, now)
        tenant.room = min(self._burst, tenant.room + (now - tenant.looked_at) * self._rate)
        tenant.looked_at = now
        if events > tenant.room:
            tenant.exceeded_at = now
            if not tenant.diverted:
                tenant.diverted = True
                log.warning("flood.tenant_diverted", tenant=name.decode(), rate=self._rate)
        elif tenant.diverted and now - tenant.exceeded_at >= _CALM_S:
            tenant.diverted = False
            log.info("flood.tenant_back", tenant=name.decode())
        tenant.room = max(0.0, tenant.room - events)
        return tenant.diverted

    def _new(self, name: bytes, now: float) -> _Tenant:
        if len(self._tenants) >= _MOST_TENANTS:
            self._tenants = {each: tenant for each, tenant in self._tenants.items() if tenant.diverted}
        tenant = self._tenants[name] = _Tenant(self._burst, now)
        return tenant


def _tenant(record: Record) -> bytes:
    return record.key.partition(b"|")[0]
