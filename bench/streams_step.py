"""What an event costs in the stream step, piece by piece, without Kafka: `.venv/bin/python -m bench.streams_step`."""

from __future__ import annotations

import io
import random
import uuid

import fastavro
import msgspec

from bench.timing import cpu_us, show
from core.ids import dedupe_id
from core.settings import Settings
from schemas import envelope
from schemas.codegen.encoder import compile_encoder
from schemas.contracts import bundled_contracts
from schemas.registry import bundled
from streams.batch import RawRecord, process
from streams.enrich.chain import Chain
from streams.window import DedupeWindow

_EVENTS = 10_000
_NOW_MS = 1_780_000_000_000


def _payload(random_: random.Random) -> bytes:
    visitor = str(uuid.UUID(int=random_.getrandbits(128)))
    return msgspec.json.encode(
        {
            "event_id": str(uuid.UUID(int=random_.getrandbits(128))),
            "event_type": "page_view",
            "name": "",
            "session_id": visitor[::-1],
            "visitor_id": visitor,
            "user_id": "",
            "url": f"https://shop.example/products/{random_.randrange(500)}?utm_source=mail&utm_campaign=may",
            "referrer": f"https://search.example/?q={random_.randrange(50)}",
            "properties": {"status": 200, "bytes": random_.randrange(100_000), "title": "A page", "method": "GET"},
            "context": {},
            "consent_state": "granted",
            "occurred_at": _NOW_MS + random_.randrange(86_400_000),
            "sent_at": 0,
        }
    )


def main() -> None:
    random_ = random.Random(1)
    payloads = [_payload(random_) for _ in range(_EVENTS)]
    head = envelope.Head("page_view", 0, "demo", "bootstrap", "native", False)  # noqa: FBT003
    agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36"
    values = [
        envelope.encode(head=head, received_at_ms=_NOW_MS, payload=p, user_agent=agent, client_ip="203.0.113.0")
        for p in payloads
    ]
    contracts = bundled_contracts()
    schema = bundled().latest("event")
    encode = compile_encoder(schema).encode
    names = [field["name"] for field in schema.source["fields"]]
    times = (_NOW_MS, _NOW_MS, _NOW_MS)
    ids = ("0b3a1f60-7d0e-4a53-9d2f-1f1f0f0e0d0c",) * 3
    rest = ("", "https://shop.example/p/1", "", "granted", "native", '{"status":200}', "{}", 1, "")
    row = (1, 123_456, *times, "demo", "page_view", 1, "page_view", "", *ids, *rest)
    # What enrichment adds: here a browser, told by none of the address's parameters.
    of_agent = ("Chrome", "130", "Linux", "desktop", False)
    whole = (*row, *of_agent, "search", "Search", "", "", "", "", "organic search", "", "", "", False)
    as_dict = dict(zip(names, whole, strict=True))
    records = [RawRecord(i, _NOW_MS + i, b"demo|v", value) for i, value in enumerate(values)]
    chain = Chain(Settings())
    window = DedupeWindow(max_age_ms=86_400_000, max_ids=1_000_000)

    def validate() -> None:
        for payload in payloads:
            contracts.judge("page_view", 0, payload)

    def write_fastavro() -> None:
        for _ in range(_EVENTS):
            fastavro.schemaless_writer(io.BytesIO(), schema.parsed, as_dict)

    show(
        [
            ("envelope, decode", cpu_us(lambda: [envelope.decode(v) for v in values], events=_EVENTS)),
            ("payload, decode and validate", cpu_us(validate, events=_EVENTS)),
            ("dedupe id", cpu_us(lambda: [dedupe_id("demo", i) for i in ids[:1] * _EVENTS], events=_EVENTS)),
            ("curated record, generated encoder", cpu_us(lambda: [encode(*whole) for _ in values], events=_EVENTS)),
            ("curated record, fastavro", cpu_us(write_fastavro, events=_EVENTS)),
            (
                "whole step, not enriched",
                cpu_us(lambda: process(0, records, window=window, contracts=contracts), events=_EVENTS),
            ),
            (
                "whole step",
                cpu_us(lambda: process(0, records, window=window, contracts=contracts, chain=chain), events=_EVENTS),
            ),
        ],
        against="whole step",
    )


if __name__ == "__main__":
    main()
