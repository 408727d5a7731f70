"""One import of a source at a time: two would number repeated lines each on its own, and write over each other's
rejects and checkpoints. The kernel drops the lock with its holder, however that ends, so none can be stale."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cli.importer.checkpoint import file_name
from core.errors import StateError, StateLockedError
from infra import pids


@contextmanager
def exclusive(folder: Path, sources: Sequence[str], *, url: str, kind: str) -> Iterator[None]:
    """Hold `sources` alone, among imports of this kind into the collector at `url`. Creates `folder`.

    Raises:
        StateLockedError: a live process holds one of them; the message names it.
        StateError: the folder cannot be written, or the file system cannot lock.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(f"{folder} cannot be used: {error.strerror}") from error
    with ExitStack() as stack:
        for source in sorted(set(sources)):
            stack.enter_context(_locked(folder, source, url=url, kind=kind))
        yield


@contextmanager
def _locked(folder: Path, source: str, *, url: str, kind: str) -> Iterator[None]:
    digest = hashlib.blake2b("\0".join((kind, url.rstrip("/"), source)).encode(), digest_size=6).hexdigest()
    path = folder / f"{file_name(source)}-{digest}.lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        _lock(fd, path, source)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


def _lock(fd: int, path: Path, source: str) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
            raise StateError(f"{path} cannot be locked: {error.strerror}") from error
        raise StateLockedError(
            f"{source} is being imported by {_holder(fd)}",
            hint="Wait for it or stop it. If this is another log of the same name, give it one of its own: --source.",
        ) from None


def _holder(fd: int) -> str:
    text = os.pread(fd, 32, 0).decode(errors="replace").strip()
    return pids.describe(int(text)) if text.isdecimal() else "another process"
