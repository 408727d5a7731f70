"""Our server with a handler that only publishes: `python -m bench.publish_only`. What all the rest costs is measured
against it. The key is found as cheaply as can be, and the body goes to Kafka as it came.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import msgspec
import uvloop

from collector.http_server import BACKLOG, Server
from collector.kafka import KafkaPublisher
from collector.publisher import Record
from core import garbage
from core.listener import listen_on
from core.settings import Settings

_BODY = b'{"accepted":1}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))]


class _Event(msgspec.Struct):
    visitor_id: str


_one = msgspec.json.Decoder(_Event).decode
_many = msgspec.json.Decoder(list[msgspec.Raw]).decode


async def _serve(settings: Settings) -> None:
    publisher = KafkaPublisher(settings)
    publisher.start()

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        if body:
            events = _many(body) if body.startswith(b"[") else [body]
            await publisher.publish([Record(_one(event).visitor_id.encode(), bytes(event)) for event in events])
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": _BODY})

    garbage.calm()  # as the collector
    listener = listen_on(settings.collector_host, settings.collector_port, backlog=BACKLOG)
    await Server(app, grace_s=5).serve(sockets=[listener])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(Settings.from_env(os.environ)))
