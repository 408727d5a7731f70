from __future__ import annotations

from pathlib import Path

import pytest

from infra.clickhouse import bricked

WORDS = "Code: 722. DB::Exception: Waited job failed: Code: 695. DB::Exception: Load job '{job}' failed: Code: 49. x"


def definition(data: Path, database: str, table: str) -> Path:
    path = data / "metadata" / database / f"{table}.sql"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("ATTACH TABLE ...")
    return path


@pytest.mark.parametrize(
    ("job", "database", "table"),
    [
        ("startup table default.k", "default", "k"),
        ("load table default.k", "default", "k"),
        ("startup table default.k2 x.y", "default", "k2%20x%2Ey"),
        ("startup table a.b.c", "a%2Eb", "c"),
        ("startup table default.ünï", "default", "%C3%BCn%C3%AF"),
    ],
)
def test_the_blamed_definition_is_moved_and_kept(tmp_path: Path, job: str, database: str, table: str) -> None:
    path = definition(tmp_path, database, table)
    definition(tmp_path, "default", "innocent")
    found = bricked.find(WORDS.format(job=job), data=tmp_path)
    assert found is not None
    target = bricked.move_aside(found, data=tmp_path, stamp="now")
    assert not path.exists()
    assert target.read_text() == "ATTACH TABLE ..."
    assert target.parent == tmp_path / "bricked"
    assert (tmp_path / "metadata/default/innocent.sql").exists()


def test_nothing_is_moved_for_other_errors(tmp_path: Path) -> None:
    definition(tmp_path, "default", "k")
    assert bricked.find("Code: 76. DB::Exception: Cannot lock file", data=tmp_path) is None
    assert bricked.find(WORDS.format(job="startup table default.other"), data=tmp_path) is None
