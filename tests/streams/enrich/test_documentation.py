"""docs/enrichment.md shows what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from core.settings import Settings, rows
from streams.enrich.chain import Chain
from streams.enrich.facts import Facts
from tests.streams.enrich.rows import Enriched
from tests.streams.enrich.rows import rows as rows_of

PAGE = (Path(__file__).parents[3] / "docs/enrichment.md").read_text(encoding="utf-8")


def test_the_example_is_what_comes_out() -> None:
    facts, row = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (found,) = rows_of(Chain(Settings()), [msgspec.json.decode(facts, type=Facts)])
    assert msgspec.json.decode(row) == msgspec.to_builtins(found)
    assert list(msgspec.json.decode(row)) == list(Enriched.__struct_fields__)


def test_every_setting_is_listed() -> None:
    settings = {row.variable for row in rows() if row.name.startswith("enrich_")}
    assert settings == set(re.findall(r"^\| `(SLUICE_ENRICH_\w+)`", PAGE, re.MULTILINE))
