"""Sources of figures that need no engine, and how figures are put together."""

from __future__ import annotations

from pathlib import Path

from cli.up.figures import Decided, DiskSource, Stored, Waiting, records_between
from cli.up.monitor import _figures


def test_a_transactions_marker_is_no_event() -> None:
    assert records_between(0, 0) == 0
    assert records_between(5, 6) == 0  # stored all: the marker is left
    assert records_between(0, 4) == 3  # three events and their marker


def test_received_are_outcomes_and_what_waits() -> None:
    waiting = Waiting(raw_ends={0: 120, 1: 40}, committed={0: 110, 1: 40}, streams=10, sink=0)
    # Partition 0's oldest outcome begins at 100; partition 1 has none any more.
    decided = Decided({"curated": 8, "duplicate": 2}, {0: 100})
    figures = _figures(waiting, decided, Stored(5, 1_000), None)
    assert (figures.received, figures.curated, figures.duplicates, figures.dead_letters) == (20, 8, 2, 0)
    assert (figures.rows, figures.waiting_streams, figures.disk_free_bytes) == (5, 10, None)


def test_without_answers_nothing_is_known() -> None:
    figures = _figures(None, None, None, None)
    assert all(getattr(figures, name) is None for name in figures.__struct_fields__)


def test_sparse_files_count_what_they_take(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "data").write_bytes(b"x" * 100_000)
    with (tmp_path / "index").open("wb") as file:
        file.truncate(10 << 20)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    disk = DiskSource(tmp_path)()
    assert 90_000 < disk.used_bytes < 1 << 20
    assert disk.free_bytes > 0


def test_a_folder_that_goes_away_counts_nothing(tmp_path: Path) -> None:
    assert DiskSource(tmp_path)().used_bytes == 0
