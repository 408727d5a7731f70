"""The state folder: where the embedded engines keep data, logs, ports and keys between starts.

Decides who may use it (one process at a time) and whether this version of Sluice understands it. What is in its
subfolders is the business of whoever writes them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import DiskFullError, StateError, StateLockedError
from infra import pids
from infra.documents import write_text

FORMAT = 1
VERSION_FILE = "version"
LOCK_FILE = "lock"
_MIB = 1024 * 1024
_OTHER_FOLDER = "or set SLUICE_STATE_DIR to another folder."


def open_folder(path: Path) -> Path:
    """The absolute path of a state folder that this version understands, created if need be. Idempotent.

    Raises:
        StateError: another version's folder, a folder of something else, or one that cannot be written.
    """
    folder = path.absolute()
    try:
        # Logs and generated keys are nobody else's.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise StateError(f"the state folder {folder} cannot be used: {error.strerror}") from error
    if VERSION_FILE in content:
        _check_version(folder)
    elif {name for name in content if not name.startswith(".")} <= {LOCK_FILE}:
        write_text(folder / VERSION_FILE, f"format={FORMAT}\n")
    else:
        raise StateError(
            f"{folder} holds files but is not a state folder of Sluice", hint=f"Choose an empty one, {_OTHER_FOLDER}"
        )
    return folder


def _check_version(folder: Path) -> None:
    try:
        text = (folder / VERSION_FILE).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StateError(f"{folder / VERSION_FILE} cannot be read: {error}") from error
    name, _, number = text.partition("=")
    if name != "format" or not number.isdecimal():
        raise StateError(f"{folder / VERSION_FILE} says {text!r}", hint=f"Restore it, {_OTHER_FOLDER}")
    if int(number) > FORMAT:
        raise StateError(
            f"the state folder {folder} was made by a newer Sluice (format {number}, this one reads {FORMAT})",
            hint=f"Upgrade Sluice, {_OTHER_FOLDER}",
        )
    if int(number) < FORMAT:
        raise StateError(
            f"the state folder {folder} was made by an older Sluice (format {number}, this one reads {FORMAT})",
            hint=f"Use the Sluice that made it, {_OTHER_FOLDER}",
        )


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the folder alone. The kernel drops the lock with its holder, however that ends, so none can be stale.

    Raises:
        StateLockedError: a live process holds it; the message names it.
        StateError: the file system cannot lock.
    """
    path = folder / LOCK_FILE
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                raise StateError(f"{path} cannot be locked: {error.strerror}") from error
            raise StateLockedError(
                f"the state folder {folder} is in use by {_holder(fd)}", hint=f"Stop it, {_OTHER_FOLDER}"
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


def _holder(fd: int) -> str:
    text = os.pread(fd, 32, 0).decode(errors="replace").strip()
    return pids.describe(int(text)) if text.isdecimal() else "another process"


def require_space(folder: Path, *, mib: int, purpose: str = "") -> None:
    """Refuse early what would fail half-way.

    Raises:
        DiskFullError: fewer than `mib` MiB are free below `folder`.
    """
    free = shutil.disk_usage(folder).free // _MIB
    if free < mib:
        why = f" for {purpose}" if purpose else ""
        message = f"{folder} has {free} MiB free, {mib} MiB are needed{why}"
        raise DiskFullError(message, hint=f"Free some, {_OTHER_FOLDER}")
