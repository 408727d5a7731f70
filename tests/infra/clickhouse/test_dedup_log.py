from __future__ import annotations

from pathlib import Path

import pytest

from infra.clickhouse import dedup_log
from infra.clickhouse.dedup_log import Checkpoint, Part, parse_part


class Table:
    """A table's folder as the engine leaves it."""

    def __init__(self, data: Path, name: str = "abc") -> None:
        self.folder = data / "store" / name[:3] / name
        self.logs = self.folder / dedup_log.LOG_FOLDER
        self.logs.mkdir(parents=True)

    def parts(self, *names: str) -> None:
        for name in names:
            (self.folder / name).mkdir()

    def log(self, text: str, *, number: int = 1) -> Path:
        path = self.logs / f"deduplication_log_{number}.txt"
        path.write_text(text)
        return path


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def add(part: str, block: str = "") -> str:
    return f"1\t{part}\t{block or 'b' + part}\n"


def drop(part: str, block: str = "") -> str:
    return f"2\t{part}\t{block or 'b' + part}\n"


def dropped_parts(data: Path, *, checked: dict[str, int] | None) -> list[str]:
    return sorted(dropped.part for dropped in dedup_log.repair(data, checked=checked))


def test_a_part_that_never_came_is_dropped_and_nothing_else(tmp_path: Path, table: Table) -> None:
    table.parts("all_1_1_0", "tmp_insert_all_2_2_0", "detached")
    log = table.log(add("all_1_1_0") + add("all_2_2_0"))
    assert dropped_parts(tmp_path, checked={}) == ["all_2_2_0"]
    assert log.read_text() == add("all_1_1_0")
    assert dropped_parts(tmp_path, checked={}) == []


@pytest.mark.parametrize("cover", ["all_1_5_1", "all_2_2_0_9", "all_1_3_2_7", "all_2_2_1"])
def test_merged_and_mutated_parts_cover(tmp_path: Path, table: Table, cover: str) -> None:
    table.parts(cover)
    table.log(add("all_2_2_0"))
    assert dropped_parts(tmp_path, checked={}) == []


@pytest.mark.parametrize("other", ["all_1_1_0", "all_3_9_1", "20240101_1_5_1", "all_1_1_0_2"])
def test_other_parts_do_not_cover(tmp_path: Path, table: Table, other: str) -> None:
    table.parts(other)
    table.log(add("all_2_2_0"))
    assert dropped_parts(tmp_path, checked={}) == ["all_2_2_0"]


def test_parts_dropped_on_purpose_keep_their_records(tmp_path: Path, table: Table) -> None:
    table.log(add("all_1_1_0") + add("all_2_2_0"))
    table.log(drop("all_1_1_0") + drop("all_2_2_0"), number=2)
    assert dropped_parts(tmp_path, checked={}) == []


def test_the_last_word_about_a_block_counts(tmp_path: Path, table: Table) -> None:
    """Dropped on purpose, inserted again with the same token, and killed in that insert."""
    table.log(add("all_1_1_0", "x") + drop("all_1_1_0", "x"), number=9)
    log = table.log(add("all_4_4_0", "x"), number=10)  # ten comes after nine
    assert dropped_parts(tmp_path, checked={}) == ["all_4_4_0"]
    assert log.read_text() == ""


def test_what_the_checkpoint_saw_is_never_dropped(tmp_path: Path, table: Table) -> None:
    """Its part went for a reason the log does not tell (TTL): a replay must not bring its rows back."""
    log = table.log(add("all_1_1_0"))
    checked = {str(log.relative_to(tmp_path)): log.stat().st_size}
    log.write_text(log.read_text() + add("all_2_2_0"))
    assert dropped_parts(tmp_path, checked=checked) == ["all_2_2_0"]
    assert log.read_text() == add("all_1_1_0")


def test_without_a_checkpoint_only_a_torn_line_goes(tmp_path: Path, table: Table) -> None:
    log = table.log(add("all_1_1_0") + "1\tall_2_")
    found = dedup_log.repair(tmp_path, checked=None)
    assert [(item.part, item.block) for item in found] == [("", "1\tall_2_")]
    assert log.read_text() == add("all_1_1_0")


def test_a_checkpoint_remembers_the_one_before(tmp_path: Path, table: Table) -> None:
    checkpoint = Checkpoint(tmp_path)
    assert checkpoint.read() is None
    log = table.log(add("all_1_1_0"))
    name, size = str(log.relative_to(tmp_path)), log.stat().st_size
    checkpoint.take(settled=True)
    assert checkpoint.read() == {name: size}
    log.write_text(log.read_text() * 2)
    checkpoint.take()
    assert checkpoint.read() == {name: size}
    checkpoint.take()
    assert checkpoint.read() == {name: 2 * size}
    (tmp_path / dedup_log.CHECKPOINT_FILE).write_text("{torn")
    assert checkpoint.read() is None


def test_part_names() -> None:
    assert parse_part("2_5_11_2_13") == Part("2", 5, 11)
    assert parse_part("20240101-0_5_11_2") == Part("20240101-0", 5, 11)
    assert [parse_part(name) for name in ("detached", "tmp_insert_all_1_1_0", "delete_tmp_all_1_1_0", "x")] == [
        None
    ] * 4
