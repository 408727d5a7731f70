"""What a plan would change: each selected record's row as it stands beside its row by today's contracts.

All of it is SQL over the plan's scratch tables: rows never come through Python. Rows are joined in ranges of raw
offsets, so memory holds a range, whatever the window.

What becomes of a record:

    accepted    it has no row now and gets one
    changed     its row becomes another
    unchanged   its row stays as it is
    removed     its row goes: today's contract refuses it, or its subject is suppressed
    still       it has no row now and gets none

A record that is accepted must be the only one of its event id: one whose id stands in another row, or that comes later
than another of its id, is a duplicate. First wins, by time of arrival.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from replay.coverage import Span
from replay.scratch import IN_RANGE, Scratch
from replay.suppression import Suppressed
from sinks.clickhouse import ClickHouse, Parameter

RANGE_OFFSETS = 200_000
# Where a row is stored is not what it says. The parts of addresses are made from columns that are compared.
NOT_COMPARED = frozenset({"raw_partition", "raw_offset", "kafka_partition", "kafka_offset"})
_CANDIDATE = "candidate"
_BUCKET_IDS = 500_000


class Comparison:
    """Fills the table of changes. `compared` are the columns in which rows may differ."""

    def __init__(self, server: ClickHouse, scratch: Scratch, *, days: tuple[str, str]) -> None:
        self._server = server
        self._scratch = scratch
        self._days: dict[str, Parameter] = {"first_day": days[0], "last_day": days[1]}
        self.compared = [name for name in scratch.columns() if name not in NOT_COMPARED]

    def run(self, spans: Sequence[Span], suppressed: Suppressed) -> None:
        """Compare the records of `spans`, and settle which of the accepted are first of their id."""
        suppressed.create(self._server, plan=self._scratch.name)
        try:
            for number, first, last in ranges(spans):
                bound = self._days | {"number": number, "first": first, "last": last}
                self._server.execute(self._curated(suppressed), **bound)
                self._server.execute(self._refused(), **bound)
            self._settle()
        finally:
            suppressed.drop(self._server)

    def _curated(self, suppressed: Suppressed) -> str:
        columns = ", ".join(f"`{name}`" for name in self.compared)
        fields = ", ".join(f"if(c.`{n}` != e.`{n}`, '{n}', '')" for n in self.compared)
        return f"""
INSERT INTO {self._scratch.changes}
SELECT c.raw_partition, c.raw_offset, toDate(c.arrival_at), c.tenant, c.event, c.version,
    {_ID.format(of="c.")}, multiIf(e.there, 'curated', d.there, 'dead_letter', 'duplicate') AS was,
    if({suppressed.condition("c")}, 'suppressed', 'curated') AS becomes,
    multiIf(becomes = 'suppressed', if(e.there, 'removed', 'still'), NOT e.there, '{_CANDIDATE}',
        empty(differ), 'unchanged', 'changed') AS change,
    if(becomes = 'suppressed', 'suppressed', '') AS reason, d.fingerprint,
    if(e.there, arrayFilter(x -> x != '', [{fields}]), []) AS differ
FROM {self._scratch.rows} AS c
LEFT JOIN (SELECT raw_offset, true AS there, {columns} FROM events WHERE {_IN_RANGE}) AS e
    ON c.raw_offset = e.raw_offset
LEFT JOIN ({_DEAD}) AS d ON c.raw_offset = d.raw_offset
WHERE c.{IN_RANGE.replace("raw_offset", "c.raw_offset")}
"""  # noqa: S608 (names of columns and tables; values are bound)

    def _refused(self) -> str:
        # A repeat within its batch keeps the row that it has: its content was not looked at.
        return f"""
INSERT INTO {self._scratch.changes}
SELECT c.raw_partition, c.raw_offset, toDate(c.arrival_at), c.tenant, c.event, c.version, 0,
    multiIf(e.there, 'curated', d.there, 'dead_letter', 'duplicate') AS was,
    if(c.outcome = 'duplicate' AND e.there, was, c.outcome) AS becomes,
    if(e.there AND becomes = 'dead_letter', 'removed', if(e.there, 'unchanged', 'still')) AS change,
    if(becomes = 'duplicate', 'duplicate', c.code), if(c.fingerprint = '', d.fingerprint, c.fingerprint), []
FROM {self._scratch.refused} AS c
LEFT JOIN (SELECT raw_offset, true AS there FROM events WHERE {_IN_RANGE}) AS e ON c.raw_offset = e.raw_offset
LEFT JOIN ({_DEAD}) AS d ON c.raw_offset = d.raw_offset
WHERE c.{IN_RANGE.replace("raw_offset", "c.raw_offset")}
"""  # noqa: S608 (as above)

    def _settle(self) -> None:
        """Accept the first of each id that has no row, and call the others duplicates."""
        changes = self._scratch.changes
        candidates = self._server.scalar(f"SELECT count() FROM {changes} WHERE change = '{_CANDIDATE}'")  # noqa: S608
        if not candidates:
            return
        buckets = -(-candidates // _BUCKET_IDS)
        for bucket in range(buckets):
            self._server.execute(self._settled(), bucket=bucket, buckets=buckets)
        self._server.execute(f"ALTER TABLE {changes} DROP PARTITION '{_CANDIDATE}'")

    def _settled(self) -> str:
        in_bucket = "id % {buckets:UInt32} = {bucket:UInt32}"
        mine = (
            f"SELECT raw_partition, raw_offset, arrival_at, tenant, event_id FROM {self._scratch.rows} "  # noqa: S608
            f"WHERE {in_bucket.replace('id', _ID.format(of=''))} AND {self._scratch.that(_CANDIDATE, within=in_bucket)}"
        )
        taken = (
            f"SELECT tenant, event_id FROM events WHERE (tenant, event_id) IN (SELECT tenant, event_id FROM ({mine})) "  # noqa: S608
            f"AND NOT {self._scratch.that('removed')}"
        )
        return f"""
INSERT INTO {self._scratch.changes}
SELECT h.raw_partition, h.raw_offset, h.arrival_day, h.tenant, h.event, h.version, h.id, h.was,
    if(m.first, 'curated', 'duplicate'), if(m.first, 'accepted', 'still'), if(m.first, '', 'duplicate'),
    h.fingerprint, []
FROM {self._scratch.changes} AS h
INNER JOIN (
    SELECT raw_partition, raw_offset,
        (tenant, event_id) NOT IN ({taken}) AND row_number() OVER
            (PARTITION BY tenant, event_id ORDER BY arrival_at, raw_partition, raw_offset) = 1 AS first
    FROM ({mine})
) AS m ON h.raw_partition = m.raw_partition AND h.raw_offset = m.raw_offset
WHERE h.change = '{_CANDIDATE}' AND h.{in_bucket}
"""  # noqa: S608 (names of tables; values are bound)


_ID = "cityHash64({of}tenant, {of}event_id)"
_IN_RANGE = f"arrival_day BETWEEN {{first_day:Date}} AND {{last_day:Date}} AND {IN_RANGE}"
_DEAD = (
    "SELECT raw_offset, true AS there, any(fingerprint) AS fingerprint FROM dead_letters "  # noqa: S608 (a constant)
    f"WHERE {_IN_RANGE} GROUP BY raw_offset"
)


def ranges(spans: Iterable[Span]) -> list[tuple[int, int, int]]:
    """(number, first, last) that together cover `spans`, none longer than RANGE_OFFSETS."""
    return [
        (span.number, first, min(first + RANGE_OFFSETS - 1, span.last))
        for span in spans
        for first in range(span.first, span.last + 1, RANGE_OFFSETS)
    ]
