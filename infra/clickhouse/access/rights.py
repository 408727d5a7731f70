"""Which views the roles may read, and what these read in turn. What is not named here, no reader sees.

A role reads views in a database of its own, named after the pipeline's (`sluice_tenant`), so the same names mean what
the role may see. Who writes tables and views says what belongs here (`sinks/readers.py`).
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec

from core.errors import StateError
from infra import documents
from infra.clickhouse.access.users import Role

FILE_NAME: Final = "rights.json"
READERS: Final = (Role.ANALYST, Role.TENANT)


class Rights(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """`views` holds regular expressions of whole names, by role. `reads` are the tables and views behind them, a
    trailing `*` stands for any rest. `by_tenant` are the tables whose column `tenant` says whose a row is.
    """

    database: str
    views: dict[str, list[str]]
    reads: dict[str, list[str]]
    by_tenant: list[str]

    def database_of(self, role: Role) -> str:
        return f"{self.database}_{role.value}"

    def shows(self, view: str, *, role: Role) -> bool:
        return any(pattern.fullmatch(view) for pattern in self._patterns[role])

    @cached_property
    def _patterns(self) -> dict[Role, list[re.Pattern[str]]]:
        return {role: [re.compile(text) for text in self.views.get(role.value, [])] for role in READERS}


def read(path: Path) -> Rights:
    """Raises `StateError` for a file that is not there or cannot be read."""
    found = documents.read_json(path, Rights)
    if found is None:
        raise StateError(f"{path} is missing: it says what readers may read")
    return found
