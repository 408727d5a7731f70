"""The registry of a folder as it is now: read again once `lock.json` changed, so that a release needs no restart."""

from __future__ import annotations

from pathlib import Path

from core.clock import Clock, SystemClock
from core.errors import ConfigError
from core.log import get_logger
from schemas import lock
from schemas.registry import BUNDLED, Registry, registry_at

log = get_logger(__name__)

# How late a release shows. Looking costs one system call.
_LOOK_EVERY_S = 1.0


class FollowedRegistry:
    """Not thread-safe.

    Raises:
        ConfigError: the folder cannot be read when this is made. What is wrong with it later is logged, and the
            schemas read last stay.
    """

    def __init__(self, folder: Path | str | None, *, clock: Clock | None = None) -> None:
        self._folder = Path(folder) if folder else BUNDLED
        self._clock = clock or SystemClock()
        self._looked_at = self._clock.monotonic()
        self._seen = self._stamp()
        self._registry = self._read()

    def __call__(self) -> Registry:
        now = self._clock.monotonic()
        if now - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = now
            self._look()
        return self._registry

    def _look(self) -> None:
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._registry = self._read()
        except ConfigError as error:
            log.error("registry.not_reread", error=error.message)  # noqa: TRY400 (the message is the cause)
        else:
            log.info("registry.reread", schemas=len(self._registry.schemas()))

    def _read(self) -> Registry:
        # The bundled registry is kept for the whole process; this one is not.
        return Registry(BUNDLED) if self._folder.resolve() == BUNDLED else registry_at(self._folder)

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = (self._folder / lock.FILE).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
