"""ClickHouse's official clients in other languages, pinned, against the front: their checks are in `js` and `go`."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.virtualenv import cache_folder
from tests.infra.clickhouse.front import PASSWORD, Front

_HERE = Path(__file__).parent
_SECONDS = 500  # bounds a hang; the first run downloads and compiles

pytestmark = pytest.mark.clients


def run(command: list[str], folder: Path, **environment: str) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-4000:]


def test_javascript(front: Front) -> None:
    if shutil.which("npm") is None:
        pytest.skip("no node on this machine")
    folder = _installed(_HERE / "js")
    url = f"http://127.0.0.1:{front.port}"
    run(["node", "--test", "--test-reporter=spec"], folder, SLUICE_TEST_URL=url, SLUICE_TEST_PASSWORD=PASSWORD)


def test_go(front: Front) -> None:
    if shutil.which("go") is None:
        pytest.skip("no go on this machine")
    address = f"127.0.0.1:{front.port}"
    # -count=1: a passed test is otherwise remembered, whatever the front does now.
    command = ["go", "test", "-mod=readonly", "-count=1", "./..."]
    run(command, _HERE / "go", SLUICE_TEST_ADDRESS=address, SLUICE_TEST_PASSWORD=PASSWORD)


def _installed(source: Path) -> Path:
    """A copy outside of the repository, so that no node_modules comes to lie in it."""
    mark = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()[:12]
    folder = cache_folder() / f"js-{mark}"
    folder.mkdir(exist_ok=True)
    for file in (*source.glob("*.json"), *source.glob("*.mjs"), source / ".npmrc"):
        shutil.copy(file, folder)
    done = folder / ".complete"
    if not done.exists():
        run(["npm", "ci", "--no-audit", "--no-fund"], folder)
        done.touch()
    return folder
