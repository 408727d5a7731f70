"""The jars of Apache Kafka on disk: one verified copy in a cache that all state folders share.

What makes the cache trustworthy: a file enters it by rename only, after its sha256 matched jars.lock and its bytes
were synced. So a jar of the right name and size is right, a start only has to look at 46 sizes, and a killed
download costs the file it was at. Does not decide which jars (jars.lock) nor where they come from (`repository`).
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.errors import DiskFullError, RefusedError, StateError, UnavailableError
from core.log import get_logger
from infra import pids
from infra.kafka import lockfile
from infra.kafka.lockfile import Jar
from infra.kafka.repository import Fetch, fetch

log = get_logger(__name__)

KAFKA_VERSION = "4.3.1"
_WORK_PREFIX = ".download-"
# More does not help a repository that answers in 50 ms; fewer makes the first start wait for round trips.
_PARALLEL = 6
_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the download is. `str()` says it in words."""

    done: int
    total: int
    done_bytes: int
    total_bytes: int

    def __str__(self) -> str:
        return f"Kafka jar {self.done} of {self.total} ({self.done_bytes / 1e6:.0f} of {self.total_bytes / 1e6:.0f} MB)"


def default_cache_dir(environ: Mapping[str, str], *, fallback: Path) -> Path:
    """`$XDG_CACHE_HOME` or `~/.cache`, then sluice/kafka-<version>; below `fallback` when that cannot be written."""
    name = Path("sluice") / f"kafka-{KAFKA_VERSION}"
    home = environ.get("HOME", "")
    base = environ.get("XDG_CACHE_HOME", "") or (f"{home}/.cache" if home else "")
    if base and Path(base).is_absolute():
        try:
            (Path(base) / name).mkdir(parents=True, exist_ok=True)
        except OSError:
            return fallback / name.name
        if os.access(Path(base) / name, os.W_OK):
            return Path(base) / name
    return fallback / name.name


def ensure(
    cache_dir: Path,
    *,
    progress: Callable[[Progress], None] | None = None,
    source: Fetch = fetch,
    locked: tuple[Jar, ...] | None = None,
) -> tuple[Path, ...]:
    """The jars in class path order; those missing from `cache_dir` are downloaded. Safe to call from several processes.

    Raises:
        UnavailableError: jars are missing and the repository cannot be reached.
        RefusedError: what the repository sent is not what jars.lock names.
        StateError: `cache_dir` cannot be written.
        DiskFullError: no room for the jars.
    """
    jars = lockfile.load() if locked is None else locked
    missing = [jar for jar in jars if not _present(cache_dir, jar)]
    if missing:
        log.info("kafka.jars_missing", missing=len(missing), total=len(jars), cache=str(cache_dir))
        with _work_folder(cache_dir) as work:
            _download(missing, jars, cache_dir, work, source, progress or _ignore)
    return tuple(cache_dir / jar.file_name for jar in jars)


def _present(cache_dir: Path, jar: Jar) -> bool:
    try:
        return (cache_dir / jar.file_name).stat().st_size == jar.size
    except OSError:
        return False


def _download(
    missing: list[Jar],
    jars: tuple[Jar, ...],
    cache_dir: Path,
    work: Path,
    source: Fetch,
    progress: Callable[[Progress], None],
) -> None:
    done = set(jars) - set(missing)
    total_bytes = sum(jar.size for jar in jars)
    pool = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="kafka-jars")
    try:
        progress(Progress(len(done), len(jars), sum(j.size for j in done), total_bytes))
        pending: dict[Future[None], Jar] = {pool.submit(_store, jar, cache_dir, work, source): jar for jar in missing}
        for future in as_completed(pending):
            _raise_ours(future, len(missing), cache_dir)
            done.add(pending[future])
            progress(Progress(len(done), len(jars), sum(j.size for j in done), total_bytes))
    finally:
        pool.shutdown(cancel_futures=True)


def _store(jar: Jar, cache_dir: Path, work: Path, source: Fetch) -> None:
    content = _fetch(jar, work, source)
    part = work / f"{jar.file_name}.verified"
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        # Without it a power cut can leave a file of the right size and no content, which `_present` would trust.
        os.fsync(file.fileno())
    part.replace(cache_dir / jar.file_name)


def _fetch(jar: Jar, work: Path, source: Fetch) -> bytes:
    """Fetch and verify, once more if the connection broke.

    Raises:
        RefusedError: the content is not the locked one.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        folder = work / f"{jar.file_name}.{attempt}"  # a broken download must not be found by the next attempt
        try:
            content = source(jar.group, jar.artifact, jar.version, folder).read_bytes()
            break
        except (OSError, RuntimeError):
            if attempt == _ATTEMPTS:
                raise
    digest = hashlib.sha256(content).hexdigest()
    if digest != jar.sha256:
        raise RefusedError(
            f"{jar.file_name} is not the file that jars.lock names: sha256 {digest[:12]}… ({len(content)} bytes) "
            f"instead of {jar.sha256[:12]}… ({jar.size} bytes)",
            hint="Something between here and the repository changes downloads (a proxy, a mirror). Nothing was kept.",
        )
    return content


def _raise_ours(future: Future[None], missing: int, cache_dir: Path) -> None:
    try:
        future.result()
    except (OSError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise DiskFullError(f"no room for Kafka's jars in {cache_dir}", hint="They need 50 MB.") from error
        if isinstance(error, PermissionError):
            raise StateError(f"Kafka's jars cannot be written to {cache_dir}: {error.strerror}") from error
        raise UnavailableError(
            f"{missing} jars of Apache Kafka {KAFKA_VERSION} are not in {cache_dir} and cannot be downloaded: "
            f"{_short(error)}",
            hint="The first start needs a Maven repository (Maven Central, or the one that ~/.config/jgo.conf names). "
            "SLUICE_KAFKA_BOOTSTRAP=host:port uses a Kafka you have instead, and downloads nothing.",
        ) from error


def _short(error: BaseException) -> str:
    """requests nests its causes; the last line of the innermost is the one that says something."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return f"{type(error).__name__}: {error}"[:200]


@contextmanager
def _work_folder(cache_dir: Path) -> Iterator[Path]:
    """A folder of this process inside the cache (so that files enter by rename). Those of dead processes go."""
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        for other in cache_dir.glob(f"{_WORK_PREFIX}*"):
            if not pids.alive(int(other.name.removeprefix(_WORK_PREFIX))):
                shutil.rmtree(other, ignore_errors=True)
        work = cache_dir / f"{_WORK_PREFIX}{os.getpid()}"
        work.mkdir(exist_ok=True)
    except OSError as error:
        raise StateError(f"Kafka's jars cannot be written to {cache_dir}: {error.strerror}") from error
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _ignore(_: Progress) -> None:
    """The progress callback of callers that show none."""
