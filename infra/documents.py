"""Small JSON documents on disk that are either the old one or the new one, never half of one.

Decides nothing about where they lie or what is in them.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TypeVar

import msgspec

from core.errors import DiskFullError, StateError

T = TypeVar("T")


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` so that a kill or a power cut at any moment leaves the old or the new content.

    Raises:
        DiskFullError: no room.
        StateError: the folder cannot be written.
    """
    # One name per process: two writers must not share a temporary file, and a killed one's is written over.
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        part.unlink(missing_ok=True)
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFullError(f"no room to write {path}") from error
        raise StateError(f"{path} cannot be written: {error.strerror}") from error


def write_json(path: Path, document: object) -> None:
    write_text(path, msgspec.json.format(msgspec.json.encode(document)).decode() + "\n")


def read_json(path: Path, type_: type[T]) -> T | None:
    """The document as `type_` (whatever msgspec can decode), or None if there is none.

    Raises:
        StateError: it exists and is not a `type_`.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return msgspec.json.decode(content, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StateError(f"{path} is damaged: {error}", hint="Sluice writes it anew if you remove it.") from error


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
