"""Stands around the collector: lets it answer, and puts down what became of each event of the request.

What the collector accepted, the stream step has judged by then; what it refused, one event or a whole request, is
known from its answer. In strict mode an accepted event that breaks its contract is answered as rejected, which a real
collector cannot: it does not wait for the streams.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cli.tail.sighting import Sighting, in_words, iso
from cli.test_server.item import Item, Outcome, from_sighting
from cli.test_server.publisher import outcomes
from cli.test_server.store import Store
from collector import body, forms, headers
from collector.body import ClientGoneError
from collector.faults import JSON_ERRORS
from collector.inflate import inflate
from collector.problems import RequestError
from core.clock import Clock
from core.settings import Settings

# Of a body that no event can be taken out of. Enough to recognise it by.
_MAX_RAW_BYTES = 64 * 1024
_CONSENT = ("consent_dropped", "$.consent_state", "only events whose consent_state is granted are stored")


class Recorder:
    """ASGI application around the collect endpoint `app`."""

    def __init__(self, app: ASGIApp, *, settings: Settings, store: Store, clock: Clock, strict: bool) -> None:
        self._app = app
        self._max_body_bytes = settings.collector_max_body_bytes
        self._max_events = settings.collector_max_batch_events
        self._store = store
        self._clock = clock
        self._strict = strict

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(receive)
        with outcomes() as seen:
            await self._app(scope, exchange.receive, exchange.send)
        if not exchange.answer:
            return  # the client left before its request was complete
        await exchange.read_rest(limit=self._max_body_bytes)
        raws = self._raw_events(scope, bytes(exchange.body))
        content = exchange.content
        answer = _decoded(content)
        verdicts = answer.get("events")
        if isinstance(verdicts, list):
            self._store.add(self._judged(verdicts, raws, seen))
            if self._strict:
                content = _strict(answer, seen)
        else:
            self._store.add(self._refused(answer, raws))
        await exchange.pass_on(send, content)

    def _raw_events(self, scope: Scope, sent: bytes) -> list[bytes]:
        """The events of a body; the body itself where there are none to be found."""
        try:
            head = headers.read(scope["headers"])
            content = inflate(sent, encoding=head.content_encoding, limit=self._max_body_bytes)
            return [bytes(raw) for raw in forms.read(content, max_events=self._max_events).events] or [content]
        except RequestError:
            return [sent]

    def _judged(self, verdicts: list[dict[str, Any]], raws: list[bytes], seen: list[Sighting]) -> Iterator[Item]:
        accepted = iter(seen)
        for verdict, raw in zip(verdicts, raws, strict=False):
            match verdict["verdict"]:
                case "accepted":
                    yield from_sighting(next(accepted), raw=_text(raw))
                case "consent_dropped":
                    yield self._item("consent_dropped", raw, *_CONSENT)
                case _:
                    fault = (verdict.get(name, "") for name in ("code", "field", "message"))
                    yield self._item("rejected", raw, *fault)

    def _refused(self, problem: dict[str, Any], raws: list[bytes]) -> Iterator[Item]:
        fault = [str(problem.get(name, "")) for name in ("code", "field", "detail")]
        for raw in raws:
            yield self._item("rejected", raw, *fault)

    def _item(self, outcome: Outcome, raw: bytes, code: str, field: str, message: str) -> Item:
        event = _decoded(raw)
        return Item(
            outcome=outcome,
            received_at=iso(self._clock.now_ms()),
            tenant=str(event.get("tenant") or ""),
            contract=str(event.get("name") or event.get("event_type") or ""),
            event=event,
            raw=_text(raw),
            code=code,
            field=field,
            message=message,
        )


class _Exchange:
    """One request and its answer, which is held back until it is passed on."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._read = False
        self.body = bytearray()
        self.answer: list[Message] = []

    async def receive(self) -> Message:
        message = await self._receive()
        self._read = True
        self.body += message.get("body", b"")
        return message

    async def send(self, message: Message) -> None:
        self.answer.append(message)

    @property
    def content(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.answer[1:])

    async def read_rest(self, *, limit: int) -> None:
        """Read a body that the collector refused unread, so that it can be shown."""
        if not self._read:
            with suppress(RequestError, ClientGoneError):
                self.body += await body.read(self._receive, content_length=-1, limit=limit)

    async def pass_on(self, send: Send, content: bytes) -> None:
        start = self.answer[0]
        fields = [(name, value) for name, value in start["headers"] if name != b"content-length"]
        await send({**start, "headers": [*fields, (b"content-length", b"%d" % len(content))]})
        await send({"type": "http.response.body", "body": content})


def _strict(answer: dict[str, Any], seen: list[Sighting]) -> bytes:
    """The collector's answer with the contract's verdicts in it."""
    accepted = iter(seen)
    for index, verdict in enumerate(answer["events"]):
        if verdict["verdict"] != "accepted":
            continue
        sighting = next(accepted)
        if sighting.outcome == "dead_letter":
            fault = sighting.faults[0]
            verdict.pop("receipt", None)
            verdict |= {
                "verdict": "rejected",
                "index": index,
                "code": fault.code,
                "field": fault.path,
                "message": in_words(fault),
            }
            answer["accepted"] -= 1
            answer["rejected"] += 1
    return msgspec.json.encode(answer)


def _decoded(content: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(content)
    except JSON_ERRORS:
        return {}
    return value if isinstance(value, dict) else {}


def _text(raw: bytes) -> str:
    return raw[:_MAX_RAW_BYTES].decode(errors="replace")
