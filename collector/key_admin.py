"""`/api/v1/tracking/keys/`: tracking keys made, listed, rotated and revoked over HTTP, for whoever has the admin token.

A key's text is in the answer that made it and nowhere else. Each action is told in the audit topic before it takes
effect. An action is answered when Kafka has it, and holds in this process from then on; all others follow the topic.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from collector import body, key_entries, key_text, origins
from collector.admin_gate import AdminGate
from collector.faults import JSON_ERRORS, explain
from collector.key_entries import KEY, REVOKED, KeyRecord, Kind, Revocation
from collector.key_table import Key, KeyTable
from collector.key_text import KeyText, Mode, Pepper
from collector.key_views import ClientConfig, ConfigLimits, KeyView, Listed, NewKey, Revoking, Rotation, record_of, view
from collector.moments import epoch_ms
from collector.network import cut
from collector.problems import ConflictError, NotFoundError, NotNowError, RequestError
from core.beside import Beside
from core.clock import Clock
from core.errors import UnavailableError
from core.settings import Settings
from core.topics import Topics
from schemas import audit
from schemas.audit import Audit

PATH = "/api/v1/tracking/keys/"
_MAX_BODY_BYTES = 16 * 1024
_MAX_LISTED = 1_000

# Writes entries of the control topic, and the audit record before them. Blocks; raises UnavailableError.
Store = Callable[[Mapping[str, bytes | None], Sequence[Beside]], None]

T = TypeVar("T")
Answer = Callable[[Request], Awaitable[Response]]


class KeyAdmin:
    """`store` is called in a thread."""

    def __init__(
        self, settings: Settings, *, keys: KeyTable, pepper: Pepper, gate: AdminGate, store: Store, clock: Clock
    ) -> None:
        self._settings = settings
        self._audit_topic = Topics.named(settings.topic_prefix).audit
        self._keys = keys
        self._pepper = pepper
        self._gate = gate
        self._store = store
        self._clock = clock

    def routes(self) -> list[Route]:
        return [
            Route(PATH, self._guarded(self._list), methods=["GET"]),
            Route(PATH, self._guarded(self._create), methods=["POST"]),
            Route(PATH + "{key_id}/", self._guarded(self._show), methods=["GET"]),
            Route(PATH + "{key_id}/rotate/", self._guarded(self._rotate), methods=["POST"]),
            Route(PATH + "{key_id}/revoke/", self._guarded(self._revoke), methods=["POST"]),
            Route(PATH + "{key_id}/config/", self._guarded(self._config), methods=["GET"]),
        ]

    def _guarded(self, answer: Answer) -> Answer:
        async def guarded(request: Request) -> Response:
            try:
                return await judged(request)
            except body.ClientGoneError:
                return Response(status_code=400)  # to nobody

        async def judged(request: Request) -> Response:
            self._gate.check(request)
            if not self._keys.loaded:
                raise NotNowError("the tracking keys are not read yet", retry_after_s=1)
            return await answer(request)

        return guarded

    async def _list(self, request: Request) -> Response:
        tenant, after = request.query_params.get("tenant"), request.query_params.get("after")
        found = [key for key in self._keys.all() if tenant is None or record_of(key).tenant == tenant]
        ids = [key.id for key in found]
        if after is not None:
            if after not in ids:
                raise NotFoundError("no key to go on after has this id")
            found = found[ids.index(after) + 1 :]
        page = found[:_MAX_LISTED]
        return _json(Listed([self._view(key) for key in page], page[-1].id if len(found) > len(page) else None))

    async def _create(self, request: Request) -> Response:
        new = await _read(request, NewKey)
        if bool(new.origins) != (new.kind == "browser"):
            message = "a browser key needs the origins of its pages" if not new.origins else "only for browser keys"
            raise RequestError(message, code="invalid_field", field="$.origins")
        expires_at_ms = epoch_ms(new.expires_at) if new.expires_at else 0
        if new.expires_at and expires_at_ms <= self._clock.now_ms():
            raise RequestError("this time is over", code="invalid_field", field="$.expires_at")
        key = self._minted(new.kind, new.mode)
        made = self._record_of(
            key,
            KeyRecord(
                id=key.id,
                tenant=new.tenant,
                kind=new.kind,
                mode=new.mode,
                hash="",
                pepper="",
                created_at_ms=0,
                created_by=new.by,
                name=new.name,
                origins=_normal(new.origins),
                expires_at_ms=expires_at_ms,
                requests_per_minute=new.requests_per_minute,
            ),
        )
        detail = {"kind": new.kind, "mode": new.mode, "name": new.name, "origins": " ".join(made.origins)}
        await self._act(request, "key.created", made, by=new.by, detail=detail, entries=_entry(made))
        return _json(self._view(self._found(key.id), text=key.text), status=201)

    async def _show(self, request: Request) -> Response:
        return _json(self._view(self._asked(request)))

    async def _rotate(self, request: Request) -> Response:
        told = await _read(request, Rotation)
        old, now_ms = self._asked(request), self._clock.now_ms()
        if old.status(now_ms) in {"revoked", "expired"}:
            raise ConflictError(f"the key is {old.status(now_ms)}; make a new one")
        record = record_of(old)
        key = self._minted(record.kind, record.mode)
        new = msgspec.structs.replace(
            record,
            id=key.id,
            created_by=told.by,
            replaces=old.id,
            replaced_ends_at_ms=now_ms + told.overlap_seconds * 1000,
        )
        made = self._record_of(key, new)
        detail = {"new_key_id": key.id, "overlap_seconds": str(told.overlap_seconds)}
        await self._act(request, "key.rotated", record, by=told.by, detail=detail, entries=_entry(made))
        return _json(self._view(self._found(key.id), text=key.text), status=201)

    async def _revoke(self, request: Request) -> Response:
        told = await _read(request, Revoking)
        key = self._asked(request)
        if not key.revoked:
            entry = key_entries.encode(Revocation(self._clock.now_ms(), told.by, told.reason))
            entries = {f"{REVOKED}{key.id}": entry}
            detail = {"reason": told.reason}
            await self._act(request, "key.revoked", record_of(key), by=told.by, detail=detail, entries=entries)
        return _json(self._view(self._found(key.id)))

    async def _config(self, request: Request) -> Response:
        key = self._asked(request)
        record, settings = record_of(key), self._settings
        by = request.query_params.get("by", "admin")[:200]
        await self._act(request, "key.config_downloaded", record, by=by, detail={}, entries={})
        public = record.kind == "browser" and record.pepper == self._pepper.fingerprint
        base = settings.collector_url or str(request.base_url)
        config = ClientConfig(
            f"{base.rstrip('/')}/api/v1/tracking/collect/",
            record.tenant,
            record.kind,
            record.mode,
            key.id,
            key_text.derive(record.mode, key.id, pepper=self._pepper).text if public else None,
            record.origins,
            ConfigLimits(
                settings.collector_max_event_bytes,
                settings.collector_max_body_bytes,
                settings.collector_max_batch_events,
            ),
        )
        answer = _json(config)
        answer.headers["content-disposition"] = f'attachment; filename="sluice-{key.id}.json"'
        return answer

    async def _act(
        self,
        request: Request,
        action: str,
        record: KeyRecord,
        *,
        by: str,
        detail: dict[str, str],
        entries: Mapping[str, bytes | None],
    ) -> None:
        address = self._gate.address(request)
        told = Audit(
            at=self._clock.now_ms(),
            action=action,
            actor=by,
            subject=record.id,
            tenant=record.tenant,
            network=cut(address) if address else "",
            detail=detail,
        )
        beside = Beside(self._audit_topic, record.id.encode(), audit.encode(told))
        try:
            await asyncio.to_thread(self._store, entries, (beside,))
        except UnavailableError as error:
            message = f"{error.message}; it may hold all the same, so look before you repeat it"
            raise NotNowError(message, retry_after_s=1) from error
        for name, value in entries.items():
            self._keys.take(name, value)

    def _minted(self, kind: Kind, mode: Mode) -> KeyText:
        while True:
            key = key_text.mint_browser(mode, pepper=self._pepper) if kind == "browser" else key_text.mint(mode)
            if self._keys.get(key.id) is None:
                return key

    def _record_of(self, key: KeyText, record: KeyRecord) -> KeyRecord:
        """`record` with what belongs to the text."""
        return msgspec.structs.replace(
            record,
            hash=self._pepper.hash(key.text).hex(),
            pepper=self._pepper.fingerprint,
            created_at_ms=self._clock.now_ms(),
        )

    def _asked(self, request: Request) -> Key:
        return self._found(request.path_params["key_id"])

    def _found(self, key_id: str) -> Key:
        key = self._keys.get(key_id)
        if key is None:
            raise NotFoundError("no key has this id")
        return key

    def _view(self, key: Key, *, text: str | msgspec.UnsetType = msgspec.UNSET) -> KeyView:
        return view(key, now_ms=self._clock.now_ms(), text=text)


def _entry(record: KeyRecord) -> dict[str, bytes | None]:
    return {f"{KEY}{record.id}": key_entries.encode(record)}


def _normal(given: tuple[str, ...]) -> tuple[str, ...]:
    found = []
    for at, origin in enumerate(given):
        normal = origin if origin == origins.NO_PAGE else origins.normal(origin)
        if normal is None:
            message = "not an origin such as https://shop.example or https://*.shop.example, nor `none`"
            raise RequestError(message, code="invalid_field", field=f"$.origins[{at}]")
        found.append(normal)
    return tuple(dict.fromkeys(found))


async def _read(request: Request, type_: type[T]) -> T:
    """The JSON of a request; no body at all is an empty object."""
    length = request.headers.get("content-length", "")
    content = await body.read(
        request.receive, content_length=int(length) if length.isdecimal() else -1, limit=_MAX_BODY_BYTES
    )
    try:
        return msgspec.json.decode(content or b"{}", type=type_)
    except JSON_ERRORS as error:
        code, field, message = explain(error)
        raise RequestError(message, code=code, field=field) from None


def _json(document: Any, *, status: int = 200) -> Response:
    return Response(
        msgspec.json.encode(document),
        status_code=status,
        media_type="application/json",
        headers={"cache-control": "no-store"},
    )
