"""The commands as a person calls them, on a folder of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.schemas.group import schemas

Sluice = Callable[..., Result]


@pytest.fixture
def sluice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sluice:
    """`sluice schemas …` in an empty folder. Errors of ours are raised, as `cli.main` is where they become words."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLUICE_SCHEMAS_DIR", raising=False)

    def run(*arguments: str, stdin: str | bytes = "") -> Result:
        result = CliRunner().invoke(schemas, arguments, input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def own(sluice: Sluice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own, with the starter plan in it, that the environment names."""
    sluice("init", "own")
    monkeypatch.setenv("SLUICE_SCHEMAS_DIR", "own")
    return tmp_path / "own"
