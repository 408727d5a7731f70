"""Embedded engines alone, each behind a fault proxy: what a stack uses as external ones."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import urllib3

from core.settings import Settings
from infra import ports
from infra.kafka import broker
from infra.process import ChildSpec
from infra.supervisor import Supervisor
from tests.oracle.proxy import Proxy, proxy


@dataclass(slots=True)
class ProxiedEngines:
    """`settings` point a stack in `state_dir` at the proxies."""

    settings: Settings
    kafka: Proxy
    clickhouse: Proxy
    supervisor: Supervisor


@contextmanager
def proxied_engines(folder: Path) -> Iterator[ProxiedEngines]:
    kafka_port, clickhouse_port = ports.pick(2)
    password = secrets.token_urlsafe(12)
    engines = Settings(state_dir=folder / "engines", kafka_port=kafka_port)
    engines.state_dir.mkdir()
    with ExitStack() as stack:
        to_kafka = stack.enter_context(proxy(("127.0.0.1", kafka_port)))
        to_clickhouse = stack.enter_context(proxy(("127.0.0.1", clickhouse_port)))
        kafka = broker.prepare(engines, advertised_port=to_kafka.port)
        specs = [kafka.spec, _clickhouse(engines.state_dir, clickhouse_port, password)]
        supervisor = stack.enter_context(Supervisor([specs]))
        settings = Settings(
            state_dir=folder / "flow",
            kafka_bootstrap=f"127.0.0.1:{to_kafka.port}",
            clickhouse_url=f"http://127.0.0.1:{to_clickhouse.port}",
            clickhouse_password=password,
            limit_client_per_minute=0,  # the load is one client's
        )
        yield ProxiedEngines(settings, to_kafka, to_clickhouse, supervisor)


def _clickhouse(folder: Path, port: int, password: str) -> ChildSpec:
    password_file = folder / "password"
    password_file.write_text(password)
    argv = (sys.executable, "-m", "infra.clickhouse", "--data", str(folder / "clickhouse"), "--port", str(port))
    return ChildSpec(
        name="clickhouse",
        argv=(*argv, "--password-file", str(password_file)),
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        log_path=folder / "clickhouse.log",
        ready=lambda: _pings(port),
    )


def _pings(port: int) -> bool:
    try:
        return urllib3.request("GET", f"http://127.0.0.1:{port}/ping", timeout=1, retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False
