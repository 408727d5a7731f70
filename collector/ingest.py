"""`POST /api/v1/tracking/collect/`: the hot path, as plain ASGI.

1. Authorization header, if there is one (a bad key costs no body)
2. body, within bytes and time
3. decompression, within bytes
4. events, verdicts, records
5. Kafka's acknowledgement of every accepted event
6. the answer: 200, or 503 if any event should be sent again

Only 5 waits. Decides neither what makes an event valid (`judge`) nor how it is stored (`publisher`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from typing import Any

from prometheus_client import Counter

from collector import body, forms, headers, problems, verdicts
from collector.caller import Caller
from collector.controls import Controls
from collector.faults import Fault
from collector.inflate import inflate
from collector.judge import Judge, Judged
from collector.keys import Grant
from collector.network import cut
from collector.normal import Arrival
from collector.privacy import Policy, redaction
from collector.problems import Headers, MethodError, NotNowError, RequestError, UnauthorizedError
from collector.publisher import Failure, Publisher
from collector.verdicts import Verdict, rejected
from core import metrics
from core.clock import Clock
from core.failpoints import hit
from core.flags import FlagName
from core.ids import IdSource
from core.log import get_logger
from core.settings import Settings

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Reply = tuple[int, Headers, bytes]

PATHS = frozenset({"/api/v1/tracking/collect", "/api/v1/tracking/collect/"})
RETRY_AFTER_S = b"1"
INGEST: FlagName = "tracking.ingest.enabled"
# Who switches ingest off needs minutes. Longer makes clients come back late.
SWITCHED_OFF_S = 30
# What is counted for a client that left before its answer (nginx's number for it).
CLIENT_GONE = "499"

log = get_logger(__name__)
_JSON = (b"content-type", b"application/json")
_RETRY_AFTER = (b"retry-after", RETRY_AFTER_S)
_BOOTSTRAP = (b"sluice-key", b"bootstrap")
# Often enough to be seen, seldom enough to leave room for other lines.
_BOOTSTRAP_WARN_S = 60.0
_TOO_LARGE = Fault("too_large", None, "larger than Kafka takes")


class Collect:
    """The endpoint as an ASGI application for `http` scopes."""

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
        self._keys = controls.keys
        self._flags = controls.flags
        self._random_ids = random_ids
        self._clock = clock
        self._redaction = redaction(settings)
        self._judge = Judge(
            random_ids=random_ids,
            max_event_bytes=settings.collector_max_event_bytes,
            policy=Policy(settings),
            redaction=self._redaction,
        )
        self._publish_seconds = metrics.histogram("sluice_collector_publish_seconds")
        self._bootstrap_requests = metrics.counter("sluice_collector_bootstrap_requests_total")
        self._bootstrap_warn_at = 0.0

    async def __call__(self, scope: Scope, receive: body.Receive, send: Send) -> None:
        caller = Caller(self._keys)
        try:
            status, fields, content = await self._reply(scope, receive, caller)
        except body.ClientGoneError:
            _requests(CLIENT_GONE).inc()
            return
        except RequestError as error:
            status, fields, content = problems.render(error)
        except Exception:
            # A bug of ours must not become a dropped connection: clients would retry it for ever.
            log.exception("collect.failed")
            status, fields, content = problems.render_internal()
        _requests(str(status)).inc()
        if caller.bootstrap:
            fields.append(_BOOTSTRAP)
            self._flag_bootstrap()
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": content})

    async def _reply(self, scope: Scope, receive: body.Receive, caller: Caller) -> Reply:
        if scope["method"] != "POST":
            raise MethodError("events are sent with POST", allow="POST")
        head = headers.read(scope["headers"])
        caller.origin = head.origin
        if not self._flags[INGEST].enabled:
            error = NotNowError(
                "the operator has switched ingest off; keep the events",
                retry_after_s=SWITCHED_OFF_S,
                code="ingest_disabled",
            )
            error.close = True  # the body is not read
            raise error
        bearer = _bearer(head.authorization, caller)
        sent = await body.read(receive, content_length=head.content_length, limit=self._max_body_bytes)
        content = inflate(sent, encoding=head.content_encoding, limit=self._max_body_bytes)
        form = forms.read(content, max_events=self._max_events)
        grant = self._judge.request_grant(form, bearer=bearer, caller=caller)
        peer = scope.get("client")
        arrival = Arrival(
            self._clock.now_ms(),
            head.traceparent,
            form.sent_at_ms,
            form.historical,
            self._random_ids.uuid4().bytes,
            self._redaction.text(head.user_agent),
            cut(peer[0]) if peer else "",
            head.dnt,
            head.gpc,
        )
        judged = self._judge.judge(form, grant=grant, arrival=arrival, caller=caller)
        if judged.records:
            await self._publish(judged)
        return _answered(judged.verdicts)

    def _flag_bootstrap(self) -> None:
        """It is for trying things out: it cannot be revoked, and everyone who was given it is one to its events."""
        self._bootstrap_requests.inc()
        now = self._clock.monotonic()
        if now >= self._bootstrap_warn_at:
            self._bootstrap_warn_at = now + _BOOTSTRAP_WARN_S
            log.warning(
                "keys.bootstrap_used", hint="`sluice keys create` makes keys that can be told apart and revoked."
            )

    async def _publish(self, judged: Judged) -> None:
        started = self._clock.monotonic()
        hit("collector.before_publish")
        fates = await self._publisher.publish(judged.records)
        hit("collector.after_publish")
        self._publish_seconds.observe(self._clock.monotonic() - started)
        for index, fate in zip(judged.positions, fates, strict=True):
            if isinstance(fate, Failure):
                event_id = judged.verdicts[index].event_id
                judged.verdicts[index] = (
                    rejected(index, _TOO_LARGE, event_id=event_id)
                    if fate is Failure.TOO_LARGE
                    else Verdict(event_id, "retry", index=index)
                )


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


def _answered(judged: list[Verdict]) -> Reply:
    answer = verdicts.answer(judged)
    for name in ("accepted", "rejected", "consent_dropped", "retry"):
        if number := getattr(answer, name):
            _events(name).inc(number)
    content = verdicts.encode(answer)
    length = (b"content-length", b"%d" % len(content))
    if answer.retry:
        return 503, [_JSON, length, _RETRY_AFTER], content
    return 200, [_JSON, length], content


@cache
def _requests(status: str) -> Counter:
    return metrics.counter("sluice_collector_requests_total").labels(status)


@cache
def _events(verdict: str) -> Counter:
    return metrics.counter("sluice_collector_events_total").labels(verdict)
