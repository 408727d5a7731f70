"""Our schema registry as a process of its own, as tools see it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    return kept | {"PYTHONPATH": str(ROOT)} | more


@contextmanager
def serving(*argv: str, **more: str) -> Iterator[str]:
    """`sluice schemas serve` on a free port; gives its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "schemas", "serve", "--port", "0", *argv],
        env=environment(**more),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        ready = re.search(r"http://\S+", line)
        assert ready, line
        yield ready[0]
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
