"""A client that calls an ASGI application directly: no sockets, every byte and pause under the test's control."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.types import ASGIApp, Message

Pause = float


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def events(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.json["events"]
        return found


@dataclass(frozen=True)
class Client:
    app: ASGIApp
    headers: tuple[tuple[str, str], ...] = ()
    peer: str = ""

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Sequence[bytes | Pause] = b"",
        *,
        headers: Sequence[tuple[str, str]] = (),
        hang_up: bool = False,
    ) -> Reply | None:
        """Send `body`, or its pieces with pauses between them. None if the application sent no answer.

        `hang_up` disconnects after the last piece instead of completing the body.
        """
        return asyncio.run(self._request(method, path, body, [*self.headers, *headers], hang_up))

    async def _request(
        self,
        method: str,
        path: str,
        body: bytes | Sequence[bytes | Pause],
        headers: list[tuple[str, str]],
        hang_up: bool,
    ) -> Reply | None:
        pieces = [body] if isinstance(body, bytes) else list(body)
        sent: list[Message] = []

        async def receive() -> Message:
            while pieces:
                piece = pieces.pop(0)
                if isinstance(piece, bytes):
                    return {"type": "http.request", "body": piece, "more_body": bool(pieces) or hang_up}
                await asyncio.sleep(piece)
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "scheme": "http",
            "client": (self.peer, 40_000) if self.peer else None,
            "query_string": query.encode(),
            "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        }
        await self.app(scope, receive, send)
        if not sent:
            return None
        fields = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Reply(sent[0]["status"], fields, b"".join(message.get("body", b"") for message in sent[1:]))
