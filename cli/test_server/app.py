"""The test server as one ASGI application: `/test/…` beside the real collector, which is recorded."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from cli.test_server.keys import AnyKey, OneKey
from cli.test_server.publisher import StreamPublisher
from cli.test_server.recorder import Recorder
from cli.test_server.routes import PREFIX, test_routes
from cli.test_server.store import Store
from collector.app import create_app
from collector.controls import Controls
from collector.ingest import PATHS
from core.clock import Clock, SystemClock
from core.lifecycle import Lifecycle
from core.settings import Settings
from schemas.contracts import bundled_contracts


@dataclass(frozen=True, slots=True)
class Options:
    """`strict`: an event that breaks its contract is answered as rejected."""

    strict: bool = True
    max_events: int = 10_000
    accept_any_key: bool = False


class TestServer:
    """Dispatches by path."""

    __test__ = False  # pytest takes the name for a test case's

    def __init__(self, *, tests: ASGIApp, collect: ASGIApp, cold: ASGIApp) -> None:
        self._tests = tests
        self._collect = collect
        self._cold = cold

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        app = self._tests if path.startswith(PREFIX) else self._collect if path in PATHS else self._cold
        await app(scope, receive, send)


def create_test_app(
    settings: Settings, *, options: Options, lifecycle: Lifecycle | None = None, clock: Clock | None = None
) -> TestServer:
    clock = clock or SystemClock()
    store = Store(max_events=options.max_events)
    publisher = StreamPublisher(settings, contracts=bundled_contracts(), clock=clock)
    tenant = settings.bootstrap_tenant
    keys = AnyKey(tenant=tenant) if options.accept_any_key else OneKey(settings.bootstrap_key, tenant=tenant)
    collector = create_app(
        settings, publisher=publisher, lifecycle=lifecycle, controls=Controls(keys=keys), clock=clock
    )

    def reset() -> None:
        store.reset()
        publisher.forget()

    recorder = Recorder(collector, settings=settings, store=store, clock=clock, strict=options.strict)
    return TestServer(tests=test_routes(store, reset=reset), collect=recorder, cold=collector)
