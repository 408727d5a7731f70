"""Curated records as stream workers write them, for benchmarks: what they make of `bench.raw_events`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from bench.raw_events import Profile, raw_records
from core.settings import Settings
from schemas.contracts import bundled_contracts
from streams.batch import RawRecord, process
from streams.enrich.chain import Chain
from streams.window import DedupeWindow

_BATCH = 10_000


def curated_records(
    profile: Profile, raw: int, *, arrival_ms: int, partitions: int = 4
) -> Iterator[tuple[int, bytes, bytes]]:
    """(partition, key, value) of what becomes of `raw` raw records that arrive from `arrival_ms` on, one a ms."""
    contracts, chain = bundled_contracts(), Chain(Settings())
    windows = [DedupeWindow(max_age_ms=86_400_000, max_ids=raw + 1) for _ in range(partitions)]
    source = enumerate(raw_records(profile, raw))
    offsets = [0] * partitions
    while batch := list(islice(source, _BATCH * partitions)):
        for partition in range(partitions):
            # What is sent twice has the same key, and so the same partition.
            mine = [each for each in batch if hash(each[1][0]) % partitions == partition]
            if not mine:
                continue
            first = offsets[partition]
            offsets[partition] += len(mine)
            records = [
                RawRecord(first + at, arrival_ms + number, key, value) for at, (number, (key, value)) in enumerate(mine)
            ]
            done = process(partition, records, window=windows[partition], contracts=contracts, chain=chain)
            for record in done.curated:
                yield partition, record.key or b"", record.value
