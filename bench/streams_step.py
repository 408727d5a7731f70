"""What an event costs in the stream step, piece by piece, without Kafka: `.venv/bin/python -m bench.streams_step`.

The same events as `bench.streams`: 1 % invalid, 2 % sent twice.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import fastavro

from bench.raw_events import Profile, raw_records
from bench.timing import cpu_us, show
from core.settings import Settings
from schemas import envelope
from schemas.codegen.encoder import compile_encoder
from schemas.contracts import bundled_contracts
from schemas.registry import bundled
from streams.batch import RawRecord, process
from streams.enrich.chain import Chain
from streams.reading import NOT_JUDGED, reader
from streams.records import encode_dead_letter, encode_outcome
from streams.rows import encoded
from streams.window import DedupeWindow, first_positions, pack

_EVENTS = 10_240
_PART = 512  # as `streams.batch` has it
_NOW_MS = 1_780_000_000_000


def _records(profile: Profile) -> list[RawRecord]:
    sent = raw_records(profile, 2 * _EVENTS)
    made = [RawRecord(5_000_000 + at, _NOW_MS + at // 100, key, value) for at, (key, value) in enumerate(sent)]
    return made[_EVENTS:]


def _pieces(records: list[RawRecord]) -> list[tuple[str, float]]:
    contracts = bundled_contracts()
    window = DedupeWindow(max_age_ms=86_400_000, max_ids=1_000_000)
    chain = Chain(Settings())
    read = reader(contracts).read
    parts = [records[at : at + _PART] for at in range(0, len(records), _PART)]

    def whole(*, chain: Chain | None = None) -> None:
        process(0, records, window=window, contracts=contracts, chain=chain)

    whole(chain=chain)  # what heads and user agents there are is known from now on
    read_parts = [read(0, part, with_facts=True) for part in parts]
    columns = [chain.apply(part.facts) for part in read_parts]
    result = process(0, records, window=window, contracts=contracts)
    ids, invalid = pack(result.new_ids), {letter.raw_offset for letter in result.dead_letters}
    bad = [record for record in records if record.offset in invalid]
    outcome = result.outcome
    assert outcome is not None
    assert NOT_JUDGED not in result.judged

    def each(call: Callable[[int], object]) -> Callable[[], object]:
        return lambda: [call(at) and None for at in range(len(parts))]

    def of_each(call: Callable[[], object]) -> float:
        return cpu_us(call, events=_EVENTS)

    return [
        ("read: envelope, JSON, contract, dedupe id", of_each(each(lambda at: read(0, parts[at], with_facts=False)))),
        ("  of that the 1 % that is invalid", of_each(lambda: read(0, bad, with_facts=False))),
        ("  the same, with what enrichment looks at", of_each(each(lambda at: read(0, parts[at], with_facts=True)))),
        ("enrichment", of_each(each(lambda at: chain.apply(read_parts[at].facts)))),
        ("curated record", of_each(each(lambda at: encoded(0, read_parts[at].rows, None, are_short=True)))),
        (
            "curated record, enriched",
            of_each(each(lambda at: encoded(0, read_parts[at].rows, columns[at], are_short=True))),
        ),
        ("dedupe window, asked", of_each(lambda: (first_positions(ids), window.find(ids)))),
        ("outcome record", of_each(lambda: encode_outcome(outcome))),
        ("dead letters", of_each(lambda: [encode_dead_letter(letter) for letter in result.dead_letters])),
        ("whole step, not enriched", of_each(whole)),
        ("whole step", of_each(lambda: whole(chain=chain))),
    ]


def _by_other_means(records: list[RawRecord]) -> list[tuple[str, float]]:
    """What pieces cost as they would be written without regard to speed."""
    schema = bundled().get("event", 3)
    (first,) = process(
        0,
        records[:1],
        window=DedupeWindow(max_age_ms=1, max_ids=1),
        contracts=bundled_contracts(),
        chain=Chain(Settings()),
    ).curated
    row = fastavro.schemaless_reader(io.BytesIO(first.value[5:]), schema.plain)
    assert isinstance(row, dict)
    encode = compile_encoder(schema).encode
    values = [record.value or b"" for record in records]
    return [
        ("envelope, field by field", cpu_us(lambda: [envelope.decode(value) for value in values], events=_EVENTS)),
        ("curated record, generated encoder", cpu_us(lambda: [encode(*row.values()) for _ in values], events=_EVENTS)),
        (
            "curated record, fastavro",
            cpu_us(
                lambda: [fastavro.schemaless_writer(io.BytesIO(), schema.plain, row) for _ in values], events=_EVENTS
            ),
        ),
    ]


def main() -> None:
    profiles: tuple[tuple[Profile, str], ...] = (("one", "page views"), ("all", "13 events, mixed"))
    for profile, name in profiles:
        print(f"-- {name}")
        show(_pieces(_records(profile)), against="whole step")
    print("-- for comparison")
    show(_by_other_means(_records("one")))


if __name__ == "__main__":
    main()
