"""A virtual environment made from a file of pinned requirements, kept for the next run of the same file."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path


def virtualenv(requirements: Path) -> Path:
    """Path of its Python. Needs a package index the first time."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    mark = hashlib.sha256(requirements.read_bytes() + version.encode()).hexdigest()[:12]
    folder = cache_folder() / f"venv-{mark}"
    python = folder / "bin" / "python"
    done = folder / ".complete"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:"]
        subprocess.run([*install, "--requirement", str(requirements)], check=True)
        done.touch()
    return python


def cache_folder() -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = root / "sluice" / "clients"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
