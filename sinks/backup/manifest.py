"""What a backup holds, and whether it still does."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from core.errors import InputError

FORMAT = 1
MANIFEST = "manifest.json"
CONTROL = "control.jsonl"
# Made by migrations, or scratch of plans that can be made again.
LEFT_OUT = ("migrations", "view_migrations", "replaced_rows")
TABLES = (
    "SELECT name FROM system.tables WHERE database = currentDatabase() AND endsWith(engine, 'MergeTree') "
    "AND NOT has({left_out:Array(String)}, name) AND NOT startsWith(name, 'replay_rows_') ORDER BY name"
)
_WRAPS = 1 << 64


class File(msgspec.Struct, frozen=True):
    """`content` is the sum of the rows' hashes, modulo 2**64, which does not know of their order."""

    path: str
    table: str
    rows: int
    content: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """`topics`: id of each topic that fills a table. `offsets`: of its partitions the next record that is not in it."""

    format: int
    at: str
    cluster_id: str
    topics: dict[str, str]
    offsets: dict[str, dict[int, int]]
    migrations: list[int]
    columns: dict[str, list[str]]
    control_topic: str
    control_sha256: str
    files: list[File]

    def rows(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for file in self.files:
            found[file.table] = found.get(file.table, 0) + file.rows
        return found

    def content(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for file in self.files:
            found[file.table] = (found.get(file.table, 0) + file.content) % _WRAPS
        return found


def content_of(columns: Sequence[str]) -> str:
    """Expression of a file's or table's `content`."""
    return f"sum(sipHash64(tuple({quoted(columns)})))"


def quoted(columns: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in columns)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read(folder: Path) -> Manifest:
    """The manifest of a backup, all of whose files are as they were written.

    Raises:
        InputError: the folder is no backup, or a file is missing or damaged.
    """
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise InputError(f"{folder} is no backup: it has no {MANIFEST}", hint="Was it interrupted?") from None
    except msgspec.MsgspecError as error:
        raise InputError(f"{folder / MANIFEST} is damaged: {error}") from error
    if manifest.format != FORMAT:
        raise InputError(f"{folder} has format {manifest.format}: another release wrote it")
    for name, due in [(CONTROL, manifest.control_sha256), *((each.path, each.sha256) for each in manifest.files)]:
        path = folder / name
        if not path.is_file() or sha256(path.read_bytes()) != due:
            raise InputError(f"{path} is missing or damaged")
    return manifest
