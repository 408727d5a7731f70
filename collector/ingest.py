"""The endpoints that take events, as plain ASGI: the hot path.

1. Authorization header, if there is one (a bad key costs no body)
2. body, within bytes and time, or the query of a pixel
3. decompression, within bytes
4. events, verdicts, records
5. the store's receipt of every accepted event, or in strict mode what its contract says
6. the answer: 200, or 503 if any event should be sent again

Only 5 waits. Decides neither what makes an event valid (`judge`) nor how it is stored (`publisher`).

There are two ways through. `Collect.take` is for what nearly all requests are: there whole when they are first seen. It
makes no task and no coroutine, which cost as much as judging does. And what has come in one turn of the event loop goes
through together, step by step: the same step sixteen times over costs two thirds of sixteen times through all steps,
because each begins with code and data that the processor has just put away. `Collect.__call__` is plain ASGI, for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from collector import body, forms, headers, pixel, problems, verdicts
from collector.caller import Caller
from collector.controls import Controls
from collector.cors import Cors
from collector.drops import Dropped
from collector.exchange import Exchange
from collector.faults import Fault
from collector.flood import Flood
from collector.headers import RequestHead
from collector.inflate import inflate
from collector.judge import Judge, Judged
from collector.keys import Grant
from collector.network import cut
from collector.normal import Arrival
from collector.privacy import Policy, redaction
from collector.problems import Headers, MethodError, NotNowError, RequestError, UnauthorizedError
from collector.proxies import Proxies
from collector.publisher import Failure, Fate, Publisher
from collector.request_log import RequestLog
from collector.strict import StrictJudge
from collector.verdicts import Answer, Verdict, rejected
from core import local_metrics
from core.clock import Clock
from core.failpoints import hit
from core.flags import FlagName
from core.ids import IdSource
from core.log import get_logger
from core.settings import Settings

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
# What `navigator.sendBeacon` sends: no header of its own, so the key is in the body.
_BEACONS = frozenset({"/api/v1/tracking/beacon", "/api/v1/tracking/beacon/"})
# Where a key stands in a page or in a URL.
_PUBLIC = _BEACONS | pixel.PATHS
PATHS = frozenset({"/api/v1/tracking/collect", "/api/v1/tracking/collect/"}) | _PUBLIC
RETRY_AFTER_S = b"1"
INGEST: FlagName = "tracking.ingest.enabled"
# Who switches ingest off needs minutes. Longer makes clients come back late.
SWITCHED_OFF_S = 30
# What is counted for a client that left before its answer (nginx's number for it).
CLIENT_GONE = 499

# Clients share few user agents; one takes 0.3 KiB here.
_REMEMBERED_AGENTS = 4_096

log = get_logger(__name__)
_JSON = (b"content-type", b"application/json")
_RETRY_AFTER = (b"retry-after", RETRY_AFTER_S)
_BOOTSTRAP = (b"sluice-key", b"bootstrap")
# Often enough to be seen, seldom enough to leave room for other lines.
_BOOTSTRAP_WARN_S = 60.0
_TOO_LARGE = Fault("too_large", None, "larger than Kafka takes")


class Reply(NamedTuple):
    """An answer. `answer` is what it says of events, `code` what a problem is called."""

    status: int
    headers: Headers
    content: bytes
    answer: Answer | None = None
    code: str = ""


class Asked:
    """A request on its way through. `peer` is who connected, "" if that is not known."""

    __slots__ = (
        "bearer",
        "caller",
        "exchange",
        "fates",
        "head",
        "judged",
        "method",
        "path",
        "peer",
        "published",
        "query",
        "referrer",
        "reply",
        "started",
    )

    def __init__(
        self,
        method: str,
        path: str,
        query: bytes,
        head: RequestHead,
        caller: Caller,
        *,
        peer: str,
        started: float,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.head = head
        self.caller = caller
        self.peer = peer
        self.started = started
        self.referrer = ""
        self.published = 0.0


class Taken(Asked):
    """One that came by `take`, and what its steps have made of it. With a `reply` it goes no further."""

    __slots__ = ()
    exchange: Exchange
    bearer: Grant | None
    judged: Judged
    fates: Sequence[Fate]
    reply: Reply | None


class Collect:
    """The endpoints: `take` for a Server of ours, and as an ASGI application for `http` scopes."""

    def __init__(
        self,
        settings: Settings,
        *,
        publisher: Publisher,
        controls: Controls,
        clock: Clock,
        random_ids: IdSource,
    ) -> None:
        self._max_body_bytes = settings.collector_max_body_bytes
        self._max_events = settings.collector_max_batch_events
        self._publisher = publisher
        self._controls = controls
        self._flags = controls.flags
        self._proxies = Proxies(settings.collector_trusted_proxies)
        self._random_ids = random_ids
        self._clock = clock
        self._redaction = redaction(settings)
        self._agent = lru_cache(_REMEMBERED_AGENTS)(self._redaction.text)
        self._judge = Judge(
            random_ids=random_ids,
            max_event_bytes=settings.collector_max_event_bytes,
            policy=Policy(settings),
            redaction=self._redaction,
        )
        self._cors = Cors(settings)
        self._strict = StrictJudge(settings)
        self._log = RequestLog(settings)
        self._flood = Flood(settings.collector_tenant_live_rate, clock)
        self._requests = local_metrics.counter("sluice_collector_requests_total")
        self._events = local_metrics.counter("sluice_collector_events_total")
        self._publish_seconds = local_metrics.histogram("sluice_collector_publish_seconds")
        self._bootstrap_requests = local_metrics.counter("sluice_collector_bootstrap_requests_total")
        self._bootstrap_warn_at = 0.0
        # What came in this turn of the loop, and what is stored since the last one.
        self._taken: list[Exchange] = []
        self._to_answer: list[Taken] = []

    def take(self, exchange: Exchange) -> bool:
        """Answer a request that is there whole, soon or when its events are stored. False leaves it to `__call__`."""
        said = exchange.head
        if said.path not in PATHS or said.method != "POST" or said.query or said.length > self._max_body_bytes:
            return False
        if not self._taken:
            asyncio.get_running_loop().call_soon(self._take_all)
        self._taken.append(exchange)
        return True

    def _take_all(self) -> None:
        exchanges, self._taken = self._taken, []
        now = self._clock.monotonic()
        taken = [self._taken_of(exchange, now) for exchange in exchanges]
        self._lead(taken, self._admit, self._judge_one, self._submit)

    def _lead(self, taken: Sequence[Taken], *steps: Callable[[Taken], None]) -> None:
        """All through one step after the other. Who has a reply goes no further, and gets it in the end."""
        for step in steps:
            for one in taken:
                if one.reply is None:
                    try:
                        step(one)
                    except Exception as error:  # noqa: BLE001 (logged and answered there)
                        one.reply = self._failed(one, error)
        for one in taken:
            if one.reply is not None:
                self._respond(one, one.reply)

    def _taken_of(self, exchange: Exchange, now: float) -> Taken:
        said, client = exchange.head, exchange.client
        taken = Taken(
            said.method,
            said.path,
            said.query,
            said.wanted,
            Caller(self._controls),
            peer=client[0] if client else "",
            started=now,
        )
        taken.exchange = exchange
        taken.reply = None
        return taken

    def _admit(self, taken: Taken) -> None:
        taken.bearer = self._admitted(taken)

    def _judge_one(self, taken: Taken) -> None:
        taken.judged = self._judged(taken, taken.bearer, bytes(taken.exchange.body))

    def _submit(self, taken: Taken) -> None:
        judged = taken.judged
        if judged.records:
            taken.published = self._clock.monotonic()
            hit("collector.before_publish")
            self._publisher.submit(self._flood.routed(judged.records), partial(self._stored, taken))
        else:
            taken.reply = self._answered(taken, judged)

    def _stored(self, taken: Taken, fates: Sequence[Fate]) -> None:
        taken.fates = fates
        if not self._to_answer:
            asyncio.get_running_loop().call_soon(self._answer_all)
        self._to_answer.append(taken)

    def _answer_all(self) -> None:
        taken, self._to_answer = self._to_answer, []
        self._lead(taken, self._conclude)

    def _conclude(self, taken: Taken) -> None:
        self._settle(taken, taken.judged, taken.fates)
        taken.reply = self._answered(taken, taken.judged)

    def _respond(self, taken: Taken, reply: Reply) -> None:
        headers = self._ended(taken, reply)
        taken.exchange.respond(reply.status, headers, reply.content)

    async def __call__(self, scope: Scope, receive: body.Receive, send: Send) -> None:
        peer = scope.get("client")
        asked = Asked(
            scope["method"],
            scope["path"],
            scope["query_string"],
            headers.read(scope["headers"]),
            Caller(self._controls),
            peer=peer[0] if peer else "",
            started=self._clock.monotonic(),
        )
        if asked.path in pixel.PATHS:
            asked.referrer = headers.referrer_origin(scope["headers"])
        try:
            reply = await self._reply(asked, receive)
        except Exception as error:  # noqa: BLE001 (logged and answered there)
            reply = self._failed(asked, error)
        fields = self._ended(asked, reply)
        if reply.status == CLIENT_GONE:
            return
        await send({"type": "http.response.start", "status": reply.status, "headers": fields})
        await send({"type": "http.response.body", "body": reply.content})

    async def _reply(self, asked: Asked, receive: body.Receive) -> Reply:
        is_pixel = asked.path in pixel.PATHS
        if asked.method != ("GET" if is_pixel else "POST"):
            return self._other_method(asked.method, asked.head, allow="GET, OPTIONS" if is_pixel else "POST, OPTIONS")
        bearer = self._admitted(asked)
        if is_pixel:
            sent = pixel.event(asked.query)
        else:
            sent = await body.read(receive, content_length=asked.head.content_length, limit=self._max_body_bytes)
        judged = self._judged(asked, bearer, sent)
        if not is_pixel and _is_strict(asked.query):
            await self._strict.judge(judged.verdicts, judged.positions, judged.records)
            return _reply_of(verdicts.answer(judged.verdicts, stored=False))
        if judged.records:
            asked.published = self._clock.monotonic()
            hit("collector.before_publish")
            self._settle(asked, judged, await self._publisher.publish(self._flood.routed(judged.records)))
        return self._answered(asked, judged)

    def _admitted(self, asked: Asked) -> Grant | None:
        """What is decided before the body is read; the grant of the Authorization header, if there is one.

        Raises:
            NotNowError: ingest is switched off.
            UnauthorizedError: the header's key does not work.
            RequestError: as `Caller.find`.
        """
        head, caller = asked.head, asked.caller
        caller.origin = head.origin or asked.referrer
        caller.browser_only = asked.path in _PUBLIC
        caller.address = self._proxies.client(asked.peer, head.forwarded_for) if asked.peer else ""
        if not self._flags[INGEST].enabled:
            error = NotNowError(
                "the operator has switched ingest off; keep the events",
                retry_after_s=SWITCHED_OFF_S,
                code="ingest_disabled",
            )
            error.close = True  # the body is not read
            raise error
        return _bearer(head.authorization, caller)

    def _judged(self, asked: Asked, bearer: Grant | None, sent: bytes) -> Judged:
        """Raises:
        RequestError: of the request as a whole.
        """
        head, caller = asked.head, asked.caller
        content = inflate(sent, encoding=head.content_encoding, limit=self._max_body_bytes)
        form = forms.read(content, max_events=self._max_events)
        grant = self._judge.request_grant(form, bearer=bearer, caller=caller)
        arrival = Arrival(
            self._clock.now_ms(),
            traceparent=head.traceparent,
            sent_at_ms=form.sent_at_ms,
            historical=form.historical,
            receipt_id=self._random_ids.receipt(),
            user_agent=self._agent(head.user_agent),
            client_ip=cut(caller.address) if caller.address else "",
            dnt=head.dnt,
            gpc=head.gpc,
        )
        return self._judge.judge(form, grant=grant, arrival=arrival, caller=caller)

    def _settle(self, asked: Asked, judged: Judged, fates: Sequence[Fate]) -> None:
        """What became of the records goes into the verdicts."""
        hit("collector.after_publish")
        self._publish_seconds.observe(self._clock.monotonic() - asked.published)
        said = judged.verdicts
        for index, record, fate in zip(judged.positions, judged.records, fates, strict=True):
            if isinstance(fate, str):
                said[index].receipt = fate
            elif fate is Failure.TOO_LARGE:
                said[index] = rejected(index, _TOO_LARGE, event_id=said[index].event_id)
                judged.drops.append(Dropped(record.key.partition(b"|")[0].decode(), "", _TOO_LARGE.code))
            else:
                said[index] = Verdict(said[index].event_id, "retry", index=index)

    def _answered(self, asked: Asked, judged: Judged) -> Reply:
        answer = verdicts.answer(judged.verdicts)
        self._count(answer)
        if judged.drops and self._controls.drops:
            self._controls.drops.count(judged.drops)
        return _picture(answer) if asked.path in pixel.PATHS else _reply_of(answer)

    def _failed(self, asked: Asked, error: Exception) -> Reply:
        if isinstance(error, RequestError):
            error = _in_place_of(error, asked.caller)
            return Reply(*problems.render(error), code=error.code)
        if isinstance(error, body.ClientGoneError):
            return Reply(CLIENT_GONE, [], b"")
        # A bug of ours must not become a dropped connection: clients would retry it for ever.
        log.error("collect.failed", exc_info=error)
        return Reply(*problems.render_internal(), code=problems.INTERNAL.code)

    def _ended(self, asked: Asked, reply: Reply) -> Headers:
        """Count and log the request; all headers of its answer."""
        self._requests.add(reply.status)
        now = self._clock.monotonic()
        if self._log.wants(reply.status, now):
            self._log.write(reply.status, _said(asked, reply, now - asked.started))
        fields = reply.headers
        if asked.caller.bootstrap:
            fields = [*fields, _BOOTSTRAP]
            self._flag_bootstrap(now)
        if asked.head.origin:
            fields = [*fields, *self._cors.headers(asked.head.origin)]
        return fields

    def _other_method(self, method: str, head: RequestHead, *, allow: str) -> Reply:
        if method != "OPTIONS":
            raise MethodError("events are sent with POST, pixels asked for with GET", allow=allow)
        fields = [(b"allow", allow.encode("ascii"))]
        if head.origin:
            # `__call__` adds what any answer carries.
            common = self._cors.headers(head.origin)
            fields += [field for field in self._cors.preflight(head.origin) if field not in common]
        return Reply(204, fields, b"")

    def _count(self, answer: Answer) -> None:
        for name, number in (
            ("accepted", answer.accepted),
            ("rejected", answer.rejected),
            ("consent_dropped", answer.consent_dropped),
            ("retry", answer.retry),
        ):
            if number:
                self._events.add(name, number)

    def _flag_bootstrap(self, now: float) -> None:
        """It is for trying things out: it cannot be revoked, and everyone who was given it is one to its events."""
        self._bootstrap_requests.add()
        if now >= self._bootstrap_warn_at:
            self._bootstrap_warn_at = now + _BOOTSTRAP_WARN_S
            log.warning(
                "keys.bootstrap_used", hint="`sluice keys create` makes keys that can be told apart and revoked."
            )


def _in_place_of(error: RequestError, caller: Caller) -> RequestError:
    """A client that tries one key after the other is told to wait, and no longer what is wrong with them."""
    limited = caller.lock_error() if isinstance(error, UnauthorizedError) else None
    if limited is None:
        return error
    limited.close = error.close
    return limited


def _bearer(authorization: str | None, caller: Caller) -> Grant | None:
    if authorization is None:
        return None
    secret = headers.bearer(authorization)
    try:
        grant = caller.find(secret) if secret else None
        if grant is None:
            raise UnauthorizedError("the tracking key of the Authorization header is not known")
    except RequestError as error:
        error.close = True  # the body is not read, and would be taken for a next request
        raise
    return grant


def _reply_of(answer: Answer) -> Reply:
    content = verdicts.encode(answer)
    length = (b"content-length", b"%d" % len(content))
    if answer.retry:
        return Reply(503, [_JSON, length, _RETRY_AFTER], content, answer)
    return Reply(200, [_JSON, length], content, answer)


def _picture(answer: Answer) -> Reply:
    """The pixel, or what is wrong with its event: whoever looks at a picture that is broken finds out why."""
    (verdict,) = answer.events
    if verdict.verdict == "retry":
        raise NotNowError("the event is not known to be stored", retry_after_s=int(RETRY_AFTER_S), code="not_stored")
    if verdict.verdict == "rejected":
        raise RequestError(str(verdict.message), code=str(verdict.code), field=verdict.field or None)
    length = (b"content-length", b"%d" % len(pixel.GIF))
    return Reply(200, [(b"content-type", b"image/gif"), length, (b"cache-control", b"no-store")], pixel.GIF, answer)


def _is_strict(query: bytes) -> bool:
    if not query:
        return False
    values = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("validate", [])
    if values and values != ["strict"]:
        raise RequestError("`validate` knows one value, strict", code="invalid_query", field="$.validate")
    return bool(values)


def _said(asked: Asked, reply: Reply, took_s: float) -> dict[str, object]:
    """What a log line says of a request: nothing that its sender wrote, but the ids of its trace."""
    said: dict[str, object] = {"path": asked.path, "took_ms": round(took_s * 1000, 2)}
    head, grant = asked.head, asked.caller.grant
    if asked.method != "POST":
        said["method"] = asked.method
    if reply.code:
        said["code"] = reply.code
    if grant is not None:
        said["tenant"], said["key_id"] = grant.tenant, grant.key_id
    if reply.answer is not None:
        for name in ("accepted", "rejected", "consent_dropped", "retry"):
            if number := getattr(reply.answer, name):
                said[name] = number
    if head.content_length >= 0:
        said["bytes"] = head.content_length
    if head.traceparent:
        said["trace_id"] = head.traceparent.split("-")[1]
    return said
