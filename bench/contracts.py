"""What contracts cost: `.venv/bin/python -m bench.contracts [--json]`.

JSON in, validated, Avro out, against fastavro's `validate` and `schemaless_writer`. fastavro is given dictionaries that
are already decoded, with times and decimals as Python's own types; what that takes is not counted for it.
"""

from __future__ import annotations

import copy
import io
import json
import random
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

import fastavro
import msgspec
from fastavro.validation import validate

from bench.timing import cpu_us
from schemas.codegen.compiled import Compiled, compile_record
from schemas.registry import bundled

_EVENTS = 10_000
_COMPILED = 200
_NOW_MS = 1_780_000_000_000
_PLANS = ["free", "starter", "team", "enterprise"]
_SECTIONS = ["pricing", "docs", "blog", "shop", "help", "account"]
_BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome"
_KIND = {"type": "enum", "name": "Kind", "symbols": ["view", "click", "submit"]}
_TIME = {"type": "long", "logicalType": "timestamp-millis"}

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Tracked",
    "namespace": "bench",
    "fields": [
        {"name": "event_id", "type": "string", "minLength": 1, "maxLength": 128},
        {"name": "account", "type": "string", "pii": "none"},
        {"name": "session_id", "type": "string"},
        {"name": "visitor_id", "type": "string", "minLength": 1, "maxLength": 256},
        {"name": "kind", "type": _KIND, "pii": "none"},
        {"name": "title", "type": "string", "maxLength": 200},
        {"name": "address", "type": "string", "maxLength": 8192},
        {"name": "referrer", "type": ["null", "string"], "default": None},
        {"name": "consent", "type": {"type": "enum", "name": "Consent", "symbols": ["pending", "granted", "denied"]}},
        {"name": "occurred_at", "type": _TIME},
        {"name": "received_at", "type": _TIME},
        {"name": "agent", "type": "string"},
        {"name": "network", "type": "string"},
        {"name": "labels", "type": {"type": "map", "values": "string"}},
    ],
}  # fmt: skip


def event(random_: random.Random) -> dict[str, Any]:
    visitor = str(uuid.UUID(int=random_.getrandbits(128)))
    at = _NOW_MS + random_.randrange(86_400_000)
    query = f"?utm_source=mail{random_.randrange(9)}&utm_campaign=may{random_.randrange(40)}"
    return {
        "event_id": str(uuid.UUID(int=random_.getrandbits(128))),
        "account": random_.choice(["acme", "globex", "initech", "umbrella"]),
        "session_id": f"{visitor[:18]}{random_.randrange(7)}",
        "visitor_id": visitor,
        "kind": random_.choice(["view", "view", "view", "click", "submit"]),
        "title": f"Product {random_.randrange(300)}",
        "address": f"https://shop.example/{random_.choice(_SECTIONS)}/{random_.randrange(200)}"
        + (query if random_.random() < 0.3 else ""),
        "referrer": random_.choice(["https://search.example/", "https://news.example/item", "", None]),
        "consent": "granted",
        "occurred_at": at,
        "received_at": at + random_.randrange(900),
        "agent": f"{_BROWSER}/{random_.randrange(90, 130)}.0 Safari/537.36",
        "network": f"10.{random_.randrange(256)}.{random_.randrange(256)}.0",
        "labels": {"plan": random_.choice(_PLANS), "theme": "dark", "group": str(random_.randrange(4))},
    }


def broken(good: dict[str, Any], random_: random.Random) -> dict[str, Any]:
    """Three faults in one event: a missing field, a wrong type and a value that is not allowed."""
    bad = {**good, "consent": "maybe", "occurred_at": "yesterday"}
    del bad[random_.choice(["title", "agent", "network"])]
    return bad


def as_dicts(value: Any) -> Any:
    """A decoded event as fastavro takes it."""
    if isinstance(value, msgspec.Struct):
        return {name: as_dicts(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, dict):
        return {key: as_dicts(each) for key, each in value.items()}
    return [as_dicts(each) for each in value] if isinstance(value, list) else value


Case = tuple[Compiled, Any, bytes]


def measured(cases: list[Case]) -> dict[str, float]:  # noqa: C901 (a loop a step: a shared one would cost a call an event)
    """Microseconds of CPU time an event. A case is a contract, fastavro's form of it, and an event's text.

    What comes out is dropped at once, as in the stream's step.
    """
    count = len(cases)
    structs = [(contract, contract.decode(text)) for contract, _, text in cases]
    dicts = [(parsed, as_dicts(value)) for (_, parsed, _), (_, value) in zip(cases, structs, strict=True)]
    extra = [(contract, text[:-1] + b',"unplanned_":1}') for contract, _, text in cases]
    write = fastavro.schemaless_writer

    def decode() -> None:
        for contract, _, text in cases:
            contract.decode(text)

    def split() -> None:
        for contract, _, text in cases:
            contract.split(text)

    def split_extra() -> None:
        for contract, text in extra:
            contract.split(text)

    def encode() -> None:
        for contract, value in structs:
            contract.encode(value)

    def decode_and_encode() -> None:
        for contract, _, text in cases:
            contract.encode(contract.decode(text))

    def decode_without_contract() -> None:
        for _, _, text in cases:
            msgspec.json.decode(text)

    def fastavro_validates() -> None:
        for parsed, value in dicts:
            validate(value, parsed)

    def fastavro_does_all() -> None:
        for parsed, value in dicts:
            validate(value, parsed)
            write(io.BytesIO(), parsed, value)

    steps: dict[str, Callable[[], object]] = {
        "decode to dictionaries, no contract": decode_without_contract,
        "decode and validate": decode,
        "decode, validate and split": split,
        "the same, one property unplanned": split_extra,
        "encode": encode,
        "decode, validate and encode": decode_and_encode,
        "fastavro, validate": fastavro_validates,
        "fastavro, validate and write": fastavro_does_all,
    }
    return {name: cpu_us(step, events=count) for name, step in steps.items()}


def explained(contract: Compiled, texts: list[bytes]) -> float:
    return cpu_us(lambda: [contract.explain(text) for text in texts], events=len(texts), runs=5)


def compile_seconds() -> float:
    """CPU seconds that the compiler takes for that many schemas, none of them seen before."""
    schemas = [{**copy.deepcopy(SCHEMA), "name": f"Tracked{number}"} for number in range(_COMPILED)]
    started = time.process_time()
    for schema in schemas:
        compile_record(schema)
    return time.process_time() - started


def starters() -> tuple[list[Case], list[tuple[Compiled, bytes]]]:
    """The examples of the bundled events, mixed, and one broken event of each contract."""
    right: list[Case] = []
    wrong: list[tuple[Compiled, bytes]] = []
    for schema in bundled().schemas("event"):
        contract = compile_record(schema.resolved)
        right += [(contract, schema.parsed, msgspec.json.encode(each)) for each in schema.source["examples"]]
        some = schema.source["examples"][0]
        wrong.append((contract, msgspec.json.encode({name: {"not": "it"} for name in some})))
    return right, wrong


def report() -> dict[str, Any]:
    random_ = random.Random(1)
    contract, parsed = compile_record(SCHEMA), fastavro.parse_schema(SCHEMA, named_schemas={})
    events = [event(random_) for _ in range(_EVENTS)]
    accented = [{**each, "title": f"Größe {number}"} for number, each in enumerate(events)]
    cases = [(contract, parsed, msgspec.json.encode(each)) for each in events]
    faulty = [msgspec.json.encode(broken(each, random_)) for each in events[: _EVENTS // 10]]
    assert all(len(contract.explain(text)) == 3 for text in faulty)
    right, wrong = starters()
    many = max(1, _EVENTS // len(right))
    of_starters = measured(right * many)
    of_starters["all faults of a failing event"] = cpu_us(
        lambda: [each.explain(text) for each, text in wrong * 20], events=len(wrong) * 20, runs=5
    )
    texts = [(contract, parsed, msgspec.json.encode(each)) for each in accented]
    of_one = measured(cases)
    of_one["decode, validate and encode, not ASCII"] = measured(texts)["decode, validate and encode"]
    of_one["all faults of a failing event"] = explained(contract, faulty)
    return {
        "fourteen fields": of_one,
        f"the {len(bundled().subjects('event'))} bundled events": of_starters,
        f"compile {_COMPILED} schemas, s": compile_seconds(),
    }


def main() -> None:
    found = report()
    if "--json" in sys.argv[1:]:
        print(json.dumps(found, indent=2))
        return
    for title, rows in found.items():
        if isinstance(rows, float):
            print(f"{title:42} {rows:9.2f}")
            continue
        print(f"{title} (us of CPU an event, median)")
        for name, value in rows.items():
            print(f"  {name:40} {value:9.3f}")
        ratio = rows["fastavro, validate and write"] / rows["decode, validate and encode"]
        print(f"  {'times faster than fastavro':40} {ratio:9.1f}\n")


if __name__ == "__main__":
    main()
