"""The whole stack on this machine: engines that are not external, topics and tables, the flow, a schema registry.

Order up: state folder locked, engines, topics and migrations, flow. Order down: the collector first (nothing new comes
in), then streams, then sinks, then the engines. How each process lives is `infra.supervisor`'s business.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import msgspec
import urllib3

from cli import access, collectors, endpoints
from cli.endpoints import Endpoints
from core.settings import Settings
from infra import documents, ports, state, topics
from infra.child_events import ChildEvent, ChildStatus
from infra.kafka import broker, jars
from infra.process import ChildSpec
from infra.supervisor import Supervisor
from schemas import publishing
from sinks import migrate

_NEEDED_MIB = 300
# What child processes take over of our environment besides the settings: the rest is the user's shell's.
_INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "PYTHONPATH", "TZ", "XDG_CACHE_HOME", "VIRTUAL_ENV")
_ENGINE_GRACE_S = 20.0
_FLOW_GRACE_S = collectors.GRACE_S

OnStep = Callable[[str], None]


class Identity(msgspec.Struct, frozen=True):
    """What a stack keeps between starts: ports, so that clients find it again, and its generated secrets."""

    collector_port: int
    clickhouse_port: int
    clickhouse_password: str
    bootstrap_key: str
    registry_port: int = 0  # a folder of before the registry has none


@dataclass(frozen=True, slots=True)
class RunningStack:
    """A stack that is up. `settings` have every address and secret filled in."""

    settings: Settings
    endpoints: Endpoints
    engines: Supervisor
    flow: Supervisor

    def status(self) -> tuple[ChildStatus, ...]:
        """A snapshot of all processes, in start order."""
        return self.engines.status() + self.flow.status()


def _ignore(_text: str) -> None:
    pass


@contextmanager
def running(
    settings: Settings,
    *,
    workers: int = 1,
    registry: bool = False,
    on_step: OnStep = _ignore,
    on_event: Callable[[ChildEvent], None] | None = None,
) -> Iterator[RunningStack]:
    """Bring the stack up, with `workers` stream workers and as many sinks, and down again at the end of the block.

    `registry` adds a schema registry for Kafka tools, unless an external one is set. `on_step` is told in words what
    is being done.

    Raises:
        SluiceError: whatever keeps the stack from coming up; nothing is left running.
    """
    folder = state.open_folder(settings.state_dir)
    settings = replace(settings, state_dir=folder)
    with ExitStack() as stack:
        stack.enter_context(state.exclusive(folder))
        state.require_space(folder, mib=_NEEDED_MIB)
        publishing.install(settings)
        settings, identity = _with_identity(settings)
        registry = registry and not settings.schema_registry_url
        if registry:
            port = settings.registry_port
            ports.require_free(port, purpose="the schema registry", setting="SLUICE_REGISTRY_PORT")
        engines, settings = _engines(settings, on_step)
        on_step("starting " + " and ".join(spec.name for spec in engines) if engines else "using external engines")
        engine_supervisor = stack.enter_context(Supervisor([engines] if engines else [], on_event=on_event))
        on_step("applying topics and migrations")
        topics.apply(settings)
        migrate.apply(settings)
        on_step("starting sink, streams and collector")
        # The consumers come first, so that the first event finds them; they go last, so that the last one does too.
        doors = collectors.specs(settings, env=_inherited())
        if registry:
            doors.append(_flow("registry", "registry", settings))
        groups = [_sinks(settings, workers), _streams(settings, workers), doors]
        flow_supervisor = stack.enter_context(Supervisor(groups, on_event=on_event))
        found = _endpoints(settings, identity, registry=registry)
        endpoints.write(folder, found)
        stack.callback(endpoints.remove, folder)
        yield RunningStack(settings, found, engine_supervisor, flow_supervisor)


def _with_identity(settings: Settings) -> tuple[Settings, Identity]:
    path = settings.state_dir / "identity.json"
    kept = documents.read_json(path, Identity)
    if kept is None:
        collector_port, clickhouse_port, registry_port = ports.pick(3)
        kept = Identity(
            settings.collector_port or collector_port,
            settings.clickhouse_port or clickhouse_port,
            secrets.token_urlsafe(24),
            f"slc_live_{secrets.token_urlsafe(24)}",
            settings.registry_port or registry_port,
        )
        documents.write_json(path, kept)
    elif not kept.registry_port:
        taken = frozenset({kept.collector_port, kept.clickhouse_port})
        kept = msgspec.structs.replace(kept, registry_port=ports.pick(avoid=taken)[0])
        documents.write_json(path, kept)
    filled = replace(
        settings,
        collector_port=settings.collector_port or kept.collector_port,
        clickhouse_port=settings.clickhouse_port or kept.clickhouse_port,
        registry_port=settings.registry_port or kept.registry_port,
        bootstrap_key=settings.bootstrap_key or kept.bootstrap_key,
        clickhouse_password=settings.clickhouse_password
        or ("" if settings.clickhouse_url else kept.clickhouse_password),
    )
    ports.require_free(filled.collector_port, purpose="the collector", setting="SLUICE_COLLECTOR_PORT")
    return filled, kept


def _engines(settings: Settings, on_step: OnStep) -> tuple[list[ChildSpec], Settings]:
    """Specs of the engines that are not external, and the settings with their addresses."""
    specs: list[ChildSpec] = []
    if not settings.kafka_bootstrap:

        def progress(done: jars.Progress) -> None:
            on_step(f"fetching {done}")

        prepared = broker.prepare(settings, progress=progress)
        settings = replace(settings, kafka_bootstrap=prepared.bootstrap)
        specs.append(prepared.spec)
    if not settings.clickhouse_url:
        port = settings.clickhouse_port
        ports.require_free(port, purpose="the embedded ClickHouse", setting="SLUICE_CLICKHOUSE_PORT")
        settings = replace(settings, clickhouse_url=f"http://{ports.LOOPBACK}:{port}")
        specs.append(_clickhouse(settings))
    return specs, settings


def _clickhouse(settings: Settings) -> ChildSpec:
    password_file = settings.state_dir / "clickhouse.password"
    documents.write_text(password_file, settings.clickhouse_password)
    url = f"{settings.clickhouse_url}/ping"
    return ChildSpec(
        name="clickhouse",
        argv=(
            *(sys.executable, "-m", "infra.clickhouse"),
            *("--data", str(settings.state_dir / "clickhouse")),
            *("--port", str(settings.clickhouse_port)),
            *("--password-file", str(password_file)),
            *("--access", str(access.prepare(settings))),
        ),
        env=_inherited(),
        log_path=settings.state_dir / "logs" / "clickhouse.log",
        ready=lambda: _pings(url),
        ready_timeout_s=60.0,
        stop_grace_s=_ENGINE_GRACE_S,
    )


def _pings(url: str) -> bool:
    try:
        return urllib3.request("GET", url, timeout=2.0, retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def _streams(settings: Settings, workers: int) -> list[ChildSpec]:
    return [
        _flow(
            _name("streams", number, workers),
            "streams",
            replace(
                settings,
                streams_worker_id=str(number),
                metrics_port=_shifted(settings.metrics_port, number),
                streams_web_port=_shifted(settings.streams_web_port, number),
            ),
        )
        for number in range(workers)
    ]


def _sinks(settings: Settings, workers: int) -> list[ChildSpec]:
    return [
        _flow(
            _name("sink", number, workers),
            "sink",
            replace(
                settings,
                sink_worker_id=str(number),
                metrics_port=_shifted(settings.metrics_port, workers + number),
            ),
        )
        for number in range(workers)
    ]


def _name(role: str, number: int, workers: int) -> str:
    return role if workers == 1 else f"{role}-{number}"


def _shifted(port: int, by: int) -> int:
    """Two processes cannot share a port: the first stream worker gets the one that is set, the others those after."""
    return port + by if port else 0


def _flow(name: str, role: str, settings: Settings) -> ChildSpec:
    return ChildSpec(
        name=name,
        argv=(sys.executable, "-m", "cli", role),
        env=_inherited() | settings.to_env(),
        log_path=settings.state_dir / "logs" / f"{name}.log",
        ready_timeout_s=60.0,
        stop_grace_s=_FLOW_GRACE_S,
    )


def _inherited() -> dict[str, str]:
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def _endpoints(settings: Settings, identity: Identity, *, registry: bool) -> Endpoints:
    ours = f"http://{settings.registry_host}:{settings.registry_port}" if registry else ""
    return Endpoints(
        kafka_bootstrap=settings.kafka_bootstrap,
        clickhouse_url=settings.clickhouse_url,
        clickhouse_user=settings.clickhouse_user,
        clickhouse_password=settings.clickhouse_password,
        collector_url=f"{'https' if settings.collector_tls_certificate_file else 'http'}://{settings.collector_host}:{settings.collector_port}",
        bootstrap_key=settings.bootstrap_key or identity.bootstrap_key,
        bootstrap_tenant=settings.bootstrap_tenant,
        registry_url=ours,
        schema_registry_url=settings.schema_registry_url,
    )
