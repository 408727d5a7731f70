"""How ids with several rows are told."""

from __future__ import annotations

from cli.audit.duplicates import Found, Totals, _lines


def test_none() -> None:
    assert list(_lines(Totals(0, 0, 0), [])) == ["no event id has several rows"]


def test_each_with_its_places() -> None:
    found = [Found("a\x1b", "e", 2, 2, [("2026-01-01 00:00:00.000", 0, 7), ("2026-01-02 00:00:00.000", 5, 9)])]
    assert list(_lines(Totals(1, 1, 1), found)) == [
        "1 event ids have 1 rows too many, 1 in several partitions",
        "  a\\x1b e: 2 rows in 2 partitions",
        "    2026-01-01 00:00:00.000 UTC, raw 0@7",
        "    2026-01-02 00:00:00.000 UTC, raw 5@9",
    ]
