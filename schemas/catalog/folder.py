"""Puts a site into a folder: writes what changed, removes pages of ours that are gone, touches nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from core.errors import StateError, UsageError

# Says that a folder is a catalog, and which files of it are ours.
MARKER = ".sluice-catalog.json"


@dataclass(frozen=True, slots=True)
class Written:
    """Paths inside the folder, sorted."""

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]


def write(folder: Path, site: Mapping[str, str], *, force: bool = False) -> Written:
    """Make `folder` hold `site` (path → text).

    Raises:
        UsageError: the folder holds something and is no catalog, and `force` does not say to write beside it.
        StateError: the folder cannot be written.
    """
    try:
        before = _files(folder)
        if before is None and not force and folder.is_dir() and any(folder.iterdir()):
            raise UsageError(
                f"{folder} is not empty and no catalog of ours", hint="Name another folder, or use --force."
            )
        # The marker first: what is written is then ours, even if the run ends in between.
        _replace(folder / MARKER, json.dumps({"files": sorted({*site, *(before or ())})}, indent=1) + "\n")
        written = {path for path, text in site.items() if _replace(folder / path, text)}
        removed = {path for path in before or () if path not in site and _remove(folder, path)}
        _replace(folder / MARKER, json.dumps({"files": sorted(site)}, indent=1) + "\n")
    except OSError as error:
        raise StateError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return Written(tuple(sorted(written)), tuple(sorted(site.keys() - written)), tuple(sorted(removed)))


def _files(folder: Path) -> list[str] | None:
    """The files that the marker calls ours; None if there is no marker that can be read."""
    try:
        files = json.loads((folder / MARKER).read_text(encoding="utf-8"))["files"]
        return [path for path in files if _is_inside(path)]
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None


def _is_inside(path: str) -> bool:
    """A marker that somebody edited must not lead out of its folder."""
    pure = PurePosixPath(path)
    return not pure.is_absolute() and ".." not in pure.parts and len(pure.parts) > 0


def _replace(path: Path, text: str) -> bool:
    """Whether that changed anything."""
    content = text.encode()
    try:
        if path.read_bytes() == content:
            return False
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return True


def _remove(folder: Path, path: str) -> bool:
    gone = folder / path
    if not gone.is_file():
        return False
    gone.unlink()
    if gone.parent != folder and not any(gone.parent.iterdir()):
        gone.parent.rmdir()
    return True
