"""Secrets that a program makes for itself at its first start and keeps in a file that only its owner reads.

The names are hidden ones: a folder that holds nothing else still counts as a new state folder.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from core.errors import StateError

# Of randomness. Nobody types these.
_BYTES = 32


def keep(path: Path) -> str:
    """The secret in `path`, drawn now if there is none. Several processes that start at once get the same one.

    Raises:
        StateError: the file can be neither read nor made, or is empty.
    """
    try:
        return _read(path) or _make(path)
    except OSError as error:
        raise StateError(
            f"{path} cannot be used: {error.strerror}", hint="It keeps a generated secret. SLUICE_STATE_DIR moves it."
        ) from error


def _read(path: Path) -> str:
    try:
        found = path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return ""
    if not found:
        raise StateError(f"{path} is empty", hint="Restore it, or remove it: then a new secret is drawn.")
    return found


def _make(path: Path) -> str:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, f"{secrets.token_urlsafe(_BYTES)}\n".encode())
        os.fsync(descriptor)
        # A link is there with its content or not at all, and only the first one is made.
        os.link(beside, path)
    except FileExistsError:
        pass
    finally:
        os.close(descriptor)
        beside.unlink()
    return _read(path)
