"""The embedded ClickHouse alone, with all migrations, for benchmarks: started in a folder, or found there again."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import urllib3

from core.settings import Settings
from infra import documents, ports
from infra.process import ChildSpec
from infra.supervisor import Supervisor
from sinks import migrate


@contextmanager
def clickhouse(folder: Path) -> Iterator[Settings]:
    """Settings that lead to it."""
    folder.mkdir(parents=True, exist_ok=True)
    (port,) = ports.pick()
    password = folder / "password"
    documents.write_text(password, "for a benchmark")
    url = f"http://{ports.LOOPBACK}:{port}"

    def pings() -> bool:
        try:
            return urllib3.request("GET", f"{url}/ping", timeout=2.0, retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    spec = ChildSpec(
        name="clickhouse",
        argv=(
            *(sys.executable, "-m", "infra.clickhouse", "--data", str(folder / "clickhouse")),
            *("--port", str(port), "--password-file", str(password)),
        ),
        env={name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ},
        log_path=folder / "clickhouse.log",
        ready=pings,
        ready_timeout_s=120.0,
    )
    with Supervisor([[spec]]):
        settings = replace(
            Settings(state_dir=folder),
            clickhouse_url=url,
            clickhouse_user="default",
            clickhouse_password="for a benchmark",  # noqa: S106 (loopback, for this run)
        )
        migrate.apply(settings)
        yield settings
