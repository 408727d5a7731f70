"""Tokens of views outlive the engine: a block in doubt over a restart is in each rollup once, from the first day on."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.settings import Settings
from schemas.codegen.encoder import compile_encoder
from schemas.registry import bundled
from sinks import migrate
from sinks.clickhouse import ClickHouse
from sinks.plan import Plan, Source
from sinks.rollups import discover, totals
from sinks.row import Row
from sinks.tables import events
from sinks.writer import Block, Writer
from tests.infra.clickhouse.front import PASSWORD, Front

pytestmark = pytest.mark.stack

_NOW_MS, _DAY = 1_780_000_000_000, "2026-05-28"
_encode = compile_encoder(bundled().get("event", 1)).encode


def _row(offset: int) -> Row:
    times, names = (_NOW_MS, _NOW_MS, _NOW_MS), ("demo", "page_view", 1, "page_view", "")
    who = (f"id-{offset}", f"visitor-{offset % 5}", f"session-{offset % 5}", "")
    url = f"https://shop.example/p/{offset % 3}?utm_source=mail"
    body = _encode(0, offset, *times, *names, *who, url, "https://r.example/", "granted", "t", "{}", "{}")
    return Row(offset, _NOW_MS, body)


def test_a_block_is_in_every_rollup_once_though_the_engine_was_killed_since_the_migrations(tmp_path: Path) -> None:
    with Front(tmp_path / "engine") as front:
        url = f"http://127.0.0.1:{front.port}"
        settings = Settings(state_dir=tmp_path, clickhouse_url=url, clickhouse_password=PASSWORD)
        migrate.apply(settings)
        server = ClickHouse(settings)
        source = Source("cluster", "topic")
        writer = Writer(server, events(), source, commit_plan=lambda _p, _plan: None, after_doubt=lambda _day: None)
        rows = [_row(offset) for offset in range(20)]
        writer.write(Block(0, rows, Plan(0, 19, 20), uncertain=False))
        front.kill()
        front.start()
        writer.write(Block(0, rows, Plan(0, 19, 20), uncertain=True))
        found = {rollup.target: totals(server, rollup, _DAY, 0) for rollup in discover(server)}
    assert found
    assert {target for target, (base, have) in found.items() if base != have} == set()
