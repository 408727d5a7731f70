"""Moves the definition of a table that keeps the engine from opening out of its way.

A statement that failed half-way (`ENGINE = Kafka`, a broken dependency) can leave a `.sql` file that the engine refuses
to load, and then it opens nothing at all. The file is moved to `bricked/` in the data folder, never deleted; the
table's rows, if it had any, stay in `store/`. Which errors mean this is decided here, how often to try in `opening`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = "bricked"
_LOAD_FAILED: Final = re.compile(r"Load job '(?:load|startup) (?:table|view|dictionary) (.+?)' failed")
_PLAIN: Final = re.compile(rb"[A-Za-z0-9_]")


@dataclass(frozen=True, slots=True)
class Bricked:
    table: str  # as the engine names it: database, dot, table, nothing quoted
    definition: Path


def find(engine_output: str, *, data: Path) -> Bricked | None:
    """The definition that the engine's words blame; None when they blame none, or it is not there."""
    found = _LOAD_FAILED.search(engine_output)
    if found is None:
        return None
    named = found[1]
    # Both halves may hold dots, so the files decide where the first ends.
    cuts = [at for at, char in enumerate(named) if char == "."]
    for cut in cuts:
        path = data / "metadata" / escaped(named[:cut]) / f"{escaped(named[cut + 1 :])}.sql"
        if path.is_file():
            return Bricked(named, path)
    return None


def move_aside(bricked: Bricked, *, data: Path, stamp: str) -> Path:
    """`stamp` keeps an earlier one of the same name."""
    folder = data / FOLDER
    folder.mkdir(exist_ok=True)
    database = bricked.definition.parent.name
    target = folder / f"{stamp}-{database}.{bricked.definition.name}"
    bricked.definition.rename(target)
    return target


def escaped(name: str) -> str:
    """How the engine writes a name as a file name."""
    return "".join(
        chr(byte) if _PLAIN.match(bytes([byte])) else f"%{byte:02X}" for byte in name.encode("utf-8", "surrogateescape")
    )
