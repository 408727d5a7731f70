from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from core.errors import DiskFullError, StateError
from infra import documents


class Doc(msgspec.Struct):
    port: int


def test_a_document_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "doc.json"
    assert documents.read_json(path, Doc) is None
    documents.write_json(path, Doc(1))
    documents.write_json(path, Doc(2))
    assert documents.read_json(path, Doc) == Doc(2)
    assert [p.name for p in tmp_path.iterdir()] == ["doc.json"]


@pytest.mark.parametrize("content", [b"", b"{", b'{"port":"x"}', b"[]", b"\xff"])
def test_a_damaged_document_is_an_error_not_a_default(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "doc.json").write_bytes(content)
    with pytest.raises(StateError, match="damaged"):
        documents.read_json(tmp_path / "doc.json", Doc)


def test_a_write_that_fails_leaves_the_old_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "doc.json"
    documents.write_json(path, Doc(1))

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError):
        documents.write_json(path, Doc(2))
    assert documents.read_json(path, Doc) == Doc(1)
    assert [p.name for p in tmp_path.iterdir()] == ["doc.json"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be written"):
        documents.write_text(tmp_path / "no" / "doc", "x")
