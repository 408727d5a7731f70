from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from core.errors import RefusedError, StateError, UnavailableError
from infra.kafka import jars, lockfile, repository
from infra.kafka.lockfile import Jar

CONTENT = {f"lib{i}": f"content of {i}".encode() * 50 for i in range(8)}
LOCKED = tuple(
    Jar("org.example", name, "1.0", hashlib.sha256(content).hexdigest(), len(content))
    for name, content in CONTENT.items()
)


class Repository:
    """Serves `CONTENT`, and misbehaves when told."""

    def __init__(self) -> None:
        self.served: list[str] = []
        self.content = dict(CONTENT)
        self.errors: dict[str, list[Exception]] = {}
        self._lock = threading.Lock()

    def __call__(self, _group: str, artifact: str, version: str, work: Path) -> Path:
        with self._lock:
            self.served.append(artifact)
            errors = self.errors.get(artifact)
            error = errors.pop(0) if errors else None
        work.mkdir(parents=True, exist_ok=True)
        path = work / f"{artifact}-{version}.jar"
        if path.exists():  # as jgo does: what lies there is taken for a finished download
            return path
        if error is not None:
            path.write_bytes(self.content[artifact][:10])  # what a broken connection leaves behind
            raise error
        path.write_bytes(self.content[artifact])
        return path


@pytest.fixture
def repo() -> Repository:
    return Repository()


def test_the_first_start_downloads_and_the_second_asks_nobody(tmp_path: Path, repo: Repository) -> None:
    seen: list[jars.Progress] = []
    paths = jars.ensure(tmp_path / "cache", source=repo, locked=LOCKED, progress=seen.append)
    assert [p.read_bytes() for p in paths] == list(CONTENT.values())
    assert [(p.done, p.total) for p in seen] == [(i, 8) for i in range(9)]
    assert str(seen[-1]).startswith("Kafka jar 8 of 8 (")
    assert sorted(p.name for p in (tmp_path / "cache").iterdir()) == sorted(p.name for p in paths)

    repo.served.clear()
    assert jars.ensure(tmp_path / "cache", source=repo, locked=LOCKED) == paths
    assert repo.served == []


@pytest.mark.parametrize("damage", ["removed", "truncated", "longer"])
def test_only_missing_and_wrongly_sized_jars_are_fetched_again(tmp_path: Path, repo: Repository, damage: str) -> None:
    paths = jars.ensure(tmp_path, source=repo, locked=LOCKED)
    repo.served.clear()
    if damage == "removed":
        paths[3].unlink()
    else:
        paths[3].write_bytes(CONTENT["lib3"][:-1] if damage == "truncated" else CONTENT["lib3"] + b"x")
    jars.ensure(tmp_path, source=repo, locked=LOCKED)
    assert repo.served == ["lib3"]
    assert paths[3].read_bytes() == CONTENT["lib3"]


def test_a_jar_that_is_not_the_locked_one_is_refused_and_not_kept(tmp_path: Path, repo: Repository) -> None:
    repo.content["lib5"] = b"X" * len(CONTENT["lib5"])  # right size, wrong bytes
    with pytest.raises(RefusedError, match=r"lib5-1.0.jar is not the file that jars.lock names"):
        jars.ensure(tmp_path, source=repo, locked=LOCKED)
    assert not (tmp_path / "lib5-1.0.jar").exists()
    assert not list(tmp_path.glob(".download-*"))


def test_a_broken_connection_is_tried_once_more_from_nothing(tmp_path: Path, repo: Repository) -> None:
    repo.errors["lib2"] = [ConnectionResetError("reset")]
    jars.ensure(tmp_path, source=repo, locked=LOCKED)
    assert repo.served.count("lib2") == 2


@pytest.mark.parametrize("error", [ConnectionRefusedError(111, "Connection refused"), RuntimeError("not found")])
def test_what_was_downloaded_before_a_failure_is_kept(tmp_path: Path, repo: Repository, error: Exception) -> None:
    repo.errors["lib7"] = [error, error]
    with pytest.raises(UnavailableError, match=r"8 jars .* cannot be downloaded: .*(refused|not found)") as caught:
        jars.ensure(tmp_path, source=repo, locked=LOCKED)
    assert "SLUICE_KAFKA_BOOTSTRAP" in caught.value.hint
    kept = {p.name.removesuffix("-1.0.jar") for p in tmp_path.glob("*.jar")}
    repo.served.clear()
    jars.ensure(tmp_path, source=repo, locked=LOCKED)
    assert set(repo.served) == set(CONTENT) - kept
    assert "lib7" in repo.served


def test_no_network_and_an_empty_cache(tmp_path: Path) -> None:
    """The real downloader, its repository on a loopback port where nobody listens; in a process of its own."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        home = tmp_path / "home"
        (home / ".config").mkdir(parents=True)
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/maven2"
        (home / ".config" / "jgo.conf").write_text(f"[repositories]\ncentral = {url}\n")
        code = (
            "import sys; from pathlib import Path; from infra.kafka import jars; from core.errors import SluiceError\n"
            "try: jars.ensure(Path(sys.argv[1]))\n"
            "except SluiceError as e: print(e.code, '|', e.message, '|', e.hint)"
        )
        env = {"HOME": str(home), "PATH": "/nowhere", "PYTHONPATH": str(Path.cwd())}
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "cache")], env=env, capture_output=True, text=True, check=True
        )
    status, message, hint = done.stdout.split(" | ")
    assert status == "unavailable"
    assert "46 jars of Apache Kafka 4.3.1" in message
    assert "refused" in message
    assert "SLUICE_KAFKA_BOOTSTRAP" in hint
    assert not list((tmp_path / "cache").iterdir())
    assert not (home / ".m2").exists()


def test_the_rest_of_a_killed_download_is_removed_and_a_live_ones_is_not(tmp_path: Path, repo: Repository) -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead, alive = tmp_path / f".download-{int(gone.stdout)}", tmp_path / f".download-{os.getppid()}"
    for folder in (dead, alive):
        folder.mkdir()
        (folder / "lib0-1.0.jar").write_bytes(b"half")
    jars.ensure(tmp_path, source=repo, locked=LOCKED)
    assert not dead.exists()
    assert alive.exists()


def test_two_processes_may_fill_the_cache_at_once(tmp_path: Path) -> None:
    fill = "import sys; from pathlib import Path; from tests.infra.kafka import test_jars as t\n"
    fill += "for i in range(20): t.jars.ensure(Path(sys.argv[1]) / str(i), source=t.Repository(), locked=t.LOCKED)"
    fillers = [subprocess.Popen([sys.executable, "-c", fill, str(tmp_path)], cwd=Path.cwd()) for _ in range(2)]
    assert [filler.wait(30) for filler in fillers] == [0, 0]
    for i in range(20):
        assert [(tmp_path / str(i) / j.file_name).read_bytes() for j in LOCKED] == list(CONTENT.values())


def test_a_cache_that_cannot_be_made(tmp_path: Path, repo: Repository) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot be written"):
        jars.ensure(tmp_path / "file" / "cache", source=repo, locked=LOCKED)


def test_where_the_cache_is(tmp_path: Path) -> None:
    fallback = tmp_path / "state"
    home, xdg = tmp_path / "home", tmp_path / "xdg"
    (tmp_path / "file").write_text("")
    assert jars.default_cache_dir({"HOME": str(home)}, fallback=fallback) == home / ".cache/sluice/kafka-4.3.1"
    both = {"HOME": str(home), "XDG_CACHE_HOME": str(xdg)}
    assert jars.default_cache_dir(both, fallback=fallback) == xdg / "sluice/kafka-4.3.1"
    for environ in ({}, {"HOME": ""}, {"HOME": str(tmp_path / "file")}, {"XDG_CACHE_HOME": "relative"}):
        assert jars.default_cache_dir(environ, fallback=fallback) == fallback / "kafka-4.3.1"


def test_the_committed_lock_file() -> None:
    locked = lockfile.load()
    assert lockfile.parse(lockfile.render(locked)) == locked
    names = {j.artifact for j in locked}
    assert {"kafka_2.13", "kafka-clients", "log4j-core", "log4j-slf4j-impl"} <= names
    versions = {j.artifact: j.version for j in locked}
    assert versions["kafka_2.13"] == jars.KAFKA_VERSION
    assert versions["log4j-slf4j-impl"] == versions["log4j-core"]
    assert len({j.file_name for j in locked}) == len(locked)
    assert all(len(j.sha256) == 64 and j.size > 0 for j in locked)


def test_a_download_without_room_or_package_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jgo.config", None)
    with pytest.raises(UnavailableError, match="needs the package jgo"):
        jars.ensure(tmp_path, locked=LOCKED, source=repository.fetch)


@pytest.mark.stack
def test_the_cached_jars_are_the_locked_ones_to_the_byte() -> None:
    cache = jars.default_cache_dir(os.environ, fallback=Path(".sluice/kafka/jars"))
    for jar, path in zip(lockfile.load(), jars.ensure(cache), strict=True):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == jar.sha256
