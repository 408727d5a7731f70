"""The same step as stock Faust does it: an event at a time, fastavro, `topic.send`. Only there to be compared with.

`faust -A bench.stock_faust worker -l info`, started by `bench.streams`.
"""

from __future__ import annotations

import io
import json
import os
from typing import Any

import fastavro
import faust
from fastavro.validation import validate

from core.ids import dedupe_id
from schemas.registry import bundled

_PREFIX = os.environ["SLUICE_TOPIC_PREFIX"]
_ENVELOPE = bundled().latest("raw_envelope").plain
_CONTRACTS = {subject: bundled().latest(subject).plain for subject in bundled().subjects("event")}
_EVENT = bundled().latest("event").plain
_NAMES = [field["name"] for field in _EVENT["fields"]]
_DEFAULTS = {field["name"]: field["default"] for field in _EVENT["fields"] if "default" in field}

app = faust.App(
    f"{_PREFIX}stock",
    broker=f"kafka://{os.environ['SLUICE_KAFKA_BOOTSTRAP']}",
    store="memory://",
    datadir=os.environ["SLUICE_STATE_DIR"],
    topic_disable_leader=True,
    topic_allow_declare=False,
    web_enabled=False,
    consumer_auto_offset_reset="earliest",
)
_raw: Any = app.topic(f"{_PREFIX}raw", key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
_curated: Any = app.topic(f"{_PREFIX}curated", key_serializer="raw", value_serializer="raw")
_dead: Any = app.topic(f"{_PREFIX}dead_letters", key_serializer="raw", value_serializer="raw")
_seen: set[bytes] = set()


@app.agent(_raw)
async def curate(stream: Any) -> None:
    async for event in stream.events():
        value = event.value
        row: Any = fastavro.schemaless_reader(io.BytesIO(value[5:]), _ENVELOPE)
        try:
            payload = json.loads(row["payload"])
            validate(payload["properties"], _CONTRACTS[row["event"]])
        except (ValueError, KeyError, TypeError, fastavro.validation.ValidationError):
            await _dead.send(key=event.key, value=value)
            continue
        dedupe = dedupe_id(row["tenant"], payload["event_id"])
        if dedupe in _seen:
            continue
        _seen.add(dedupe)
        await _curated.send(key=event.key, value=_encoded(event, row, payload))


def _encoded(event: Any, row: dict[str, Any], payload: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    message = event.message
    known = {
        **{name: payload[name] for name in _NAMES if name in payload},
        "raw_partition": message.partition,
        "raw_offset": message.offset,
        "arrival_at": int(message.timestamp * 1000),
        "received_at": row["received_at"],
        "tenant": row["tenant"],
        "event": row["event"],
        "version": 1,
        "source": row["source"],
        "properties": json.dumps(payload["properties"]),
        "context": json.dumps(payload["context"]),
    }
    fastavro.schemaless_writer(out, _EVENT, _DEFAULTS | known)
    return out.getvalue()
