"""The usual way to do it, as the documentation of both shows it: FastAPI with a model, aiokafka's `send_and_wait`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import uvicorn
from aiokafka import AIOKafkaProducer
from fastapi import FastAPI
from pydantic import BaseModel

from core.settings import Settings
from core.topics import Topics

_settings = Settings.from_env(os.environ)
_raw = Topics.named(_settings.topic_prefix).raw
_state: dict[str, AIOKafkaProducer] = {}


class Event(BaseModel):
    event_id: str
    event_type: Literal["page_view", "custom_event", "identity"]
    visitor_id: str
    session_id: str
    url: str
    name: str = ""
    referrer: str = ""
    consent_state: Literal["pending", "granted", "denied"]
    occurred_at: str
    sent_at: str
    properties: dict[str, Any] = {}


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    producer = AIOKafkaProducer(
        bootstrap_servers=_settings.kafka_bootstrap,
        acks="all",
        enable_idempotence=True,
        linger_ms=1,
        compression_type="lz4",
    )
    await producer.start()
    _state["producer"] = producer
    yield
    await producer.stop()


app = FastAPI(lifespan=lifespan)


@app.get("/health/ready")
async def ready() -> dict[str, str]:
    return {"status": "ready"}


@app.post("/api/v1/tracking/collect/")
async def collect(event: Event) -> dict[str, int]:
    await _state["producer"].send_and_wait(_raw, event.model_dump_json().encode(), key=event.visitor_id.encode())
    return {"accepted": 1}


if __name__ == "__main__":
    uvicorn.run(app, port=_settings.collector_port, access_log=False, log_level="warning")
