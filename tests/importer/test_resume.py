"""Imports that are cut off and started again: no line is lost, the totals are those of the whole, ids stay the same."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cli.importer import Continuity, Mapping, Progress, Sending, Totals, import_access_log
from cli.importer.checkpoint import Checkpoint, CheckpointFile, Counts, file_name
from cli.importer.lock import exclusive
from core.errors import InputError, StateError, StateLockedError, UnavailableError

REPOSITORY = Path(__file__).parents[2]
FIVE = Sending(batch_events=5, max_wait=0.05)


def line(number: int) -> bytes:
    stamp = f"[17/May/2015:10:{number // 60 % 60:02}:{number % 60:02} +0000]"
    return f'1.2.3.{number % 7} - - {stamp} "GET /{number} HTTP/1.1" 200 5 "-" "agent"\n'.encode()


class Import:
    """Imports that are cut off by a collector which takes so many requests and then fails."""

    def __init__(self, collector: Any, key: str, reply: Any, folder: Path) -> None:
        self.folder = folder
        self.rejects = folder / "rejects.jsonl"
        self.progress: list[Progress] = []
        self._collector, self._key, self._reply = collector, key, reply
        self._accept = collector.answer

    def cut_off(self, *files: Any, after: int, **options: Any) -> None:
        self._collector.script = [self._accept] * after
        self._collector.answer = lambda _: self._reply(503)
        with pytest.raises(UnavailableError):
            self(*files, **options)
        self._collector.answer = self._accept

    def __call__(self, *files: Any, restart: bool = False, **options: Any) -> Totals:
        options.setdefault("rejects", self.rejects)
        options.setdefault("sending", FIVE)
        self.progress.clear()
        return import_access_log(
            files,
            collector_url=self._collector.url,
            key=self._key,
            continuity=Continuity(self.folder / "imports", restart=restart),
            on_progress=self.progress.append,
            **options,
        )

    def write(self, name: str, *content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(b"".join(content))
        return path

    def checkpoints(self) -> list[Path]:
        return list((self.folder / "imports").glob("*.json"))


@pytest.fixture
def run(collector: Any, key: str, reply: Any, tmp_path: Path) -> Import:
    return Import(collector, key, reply, tmp_path)


def accepted(collector: Any) -> list[str]:
    return [event["event_id"] for event in collector.accepted]


def urls(collector: Any) -> list[str]:
    return [event["url"] for event in collector.accepted]


TWINS = [b"bad\n", *[line(n // 2) for n in range(20)], b"worse\n", *[line(n) for n in range(20, 40)]]


def test_it_goes_on_where_it_was_and_adds_up(collector: Any, run: Import, key: str, tmp_path: Path) -> None:
    path = run.write("access.log", *TWINS)
    run.cut_off(path, after=3)
    settled = len(accepted(collector))
    assert (settled, len(run.checkpoints())) == (14, 1)
    totals = run(path)
    assert (totals.lines, totals.accepted, totals.malformed, totals.resumed) == (42, 40, 2, 15)
    assert [json.loads(row)["line"] for row in run.rejects.read_text().splitlines()] == [1, 22]
    assert (run.progress[0].totals.lines, run.progress[0].bytes_read > 0) == (15, True)
    assert run.checkpoints() == []
    # Nothing was sent twice, and all of it is what an import in one go sends.
    whole = accepted(collector)[:]
    assert len(set(whole)) == 40
    import_access_log([path], collector_url=collector.url, key=key, rejects=tmp_path / "other")
    assert accepted(collector)[40:] == whole


def test_cut_off_again_and_again(collector: Any, run: Import) -> None:
    path = run.write("access.log", *TWINS)
    for _ in range(4):
        run.cut_off(path, after=2)
    assert run(path).lines == 42
    assert len(set(accepted(collector))) == len(accepted(collector)) == 40
    assert len(run.rejects.read_text().splitlines()) == 2


def test_grown_and_rotated_in_between(collector: Any, run: Import) -> None:
    lines = [line(n) for n in range(30)]
    run.cut_off(run.write("access.log", *lines[:20]), after=2)
    old = run.write("access.log.1", *lines[:20])
    new = run.write("access.log", *lines[20:])
    totals = run(new, old)
    assert (totals.lines, totals.resumed) == (30, 10)
    assert urls(collector) == [f"/{n}" for n in range(30)]


def test_another_content_starts_over(collector: Any, run: Import) -> None:
    path = run.write("access.log", *[line(n) for n in range(20)])
    run.cut_off(path, after=2)
    for content in ([line(n) for n in range(1, 20)], [line(0)]):
        run.write("access.log", *content)
        totals = run(path)
        assert (totals.lines, totals.resumed) == (len(content), 0)
        run.write("access.log", *[line(n) for n in range(20)])
        run.cut_off(path, after=2)


def test_restart_and_other_options_do_not_resume(collector: Any, run: Import) -> None:
    path = run.write("access.log", *TWINS)
    run.cut_off(path, after=3)
    assert run(path, mapping=Mapping(site="https://e.org")).resumed == 0
    assert len(run.checkpoints()) == 1
    assert run(path, restart=True).resumed == 0
    assert run.checkpoints() == []


def test_rejects_that_are_gone_or_elsewhere_start_over(run: Import, tmp_path: Path) -> None:
    path = run.write("access.log", *TWINS)
    run.cut_off(path, after=3)
    assert run(path, rejects=tmp_path / "other").resumed == 0
    run.cut_off(path, after=3)
    run.rejects.unlink()
    totals = run(path)
    assert (totals.resumed, totals.rejected) == (0, 2)
    assert len(run.rejects.read_text().splitlines()) == 2


def test_standard_input(collector: Any, run: Import) -> None:
    data = b"".join(TWINS)
    run.cut_off("-", after=3, stdin=io.BytesIO(data))
    with pytest.raises(InputError, match="does not begin with") as caught:
        run("-", stdin=io.BytesIO(data[10:]))
    assert "--restart" in caught.value.hint
    assert run("-", stdin=io.BytesIO(data)).resumed == 15
    assert len(set(accepted(collector))) == 40


def test_two_imports_of_a_source_at_once(collector: Any, run: Import) -> None:
    path = run.write("access.log", *TWINS)
    waiting, go = threading.Event(), threading.Event()
    accept = collector.answer

    def wait(events: list[dict[str, Any]]) -> Any:
        waiting.set()
        go.wait(10)
        return accept(events)

    collector.script = [wait]
    first = threading.Thread(target=run, args=(path,))
    first.start()
    assert waiting.wait(10)
    with pytest.raises(StateLockedError, match=rf"access.log is being imported by pid {os.getpid()}"):
        run(run.write("access.log.1", line(1)))
    assert run(run.write("other.log", line(1))).accepted == 1
    go.set()
    first.join()
    assert run(path).lines == 42


def test_locks_are_of_a_source_a_kind_and_a_collector(tmp_path: Path) -> None:
    with exclusive(tmp_path, ["b", "a"], url="http://x/", kind="k"):
        for names, url, kind in ((["c"], "http://x", "k"), (["a"], "http://y", "k"), (["a"], "http://x", "l")):
            with exclusive(tmp_path, names, url=url, kind=kind):
                pass
        with pytest.raises(StateLockedError), exclusive(tmp_path, ["z", "a"], url="http://x", kind="k"):
            pass
    with exclusive(tmp_path, ["z", "a"], url="http://x", kind="k"):
        pass


def test_checkpoints_come_back(tmp_path: Path) -> None:
    written = Checkpoint(5, "d", 9, str(tmp_path / "r"), 3, Counts(1, 2, 3, {"malformed.time": 1}))
    keeper = CheckpointFile(tmp_path, ["../a"], identity=("x",))
    assert keeper.path.parent == tmp_path
    assert keeper.read(rejects=tmp_path / "r") is None
    keeper.write(written)
    assert keeper.read(rejects=tmp_path / "r") is None
    (tmp_path / "r").write_text("abc and more")
    assert keeper.read(rejects=tmp_path / "r") == written
    assert CheckpointFile(tmp_path, ["../a"], identity=("y",)).read(rejects=tmp_path / "r") is None
    keeper.path.write_text("{")
    with pytest.raises(StateError) as caught:
        keeper.read(rejects=tmp_path / "r")
    assert "--restart" in caught.value.hint
    keeper.remove()
    keeper.remove()
    assert file_name("../" + "é" * 300) == ".._" + "_" * 97


def test_killed_at_ten_points(collector: Any, key: str, tmp_path: Path) -> None:
    """kill -9, ten times in one import: before an answer, after it, or somewhere between."""
    chance = random.Random(os.environ.get("SEED", "0"))
    (tmp_path / "key").write_text(key)
    path = tmp_path / "access.log"
    path.write_bytes(b"".join(b"bad\n" if n % 50 == 49 else line(n % 3_500) for n in range(4_000)))
    running: list[subprocess.Popen[bytes]] = []
    accept, due = collector.answer, 0

    def answer(events: list[dict[str, Any]]) -> Any:
        nonlocal due
        due -= 1
        if due == 0:
            if chance.random() < 0.5:
                running[0].kill()
            else:
                threading.Timer(chance.random() * 0.01, running[0].kill).start()
        return accept(events)

    collector.answer = answer
    argv = [sys.executable, "-c", "from cli.importer.command import access_log; access_log()", "--no-warehouse-check",
            "--url", collector.url, "--key-file", "key", "--batch", "40", "--json", "access.log"]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "SLUICE_STATE_DIR": str(tmp_path / "state")}
    for _ in range(10):
        due = chance.randint(2, 9)
        running[:] = [subprocess.Popen(argv, cwd=tmp_path, env=environment, stdout=subprocess.PIPE)]
        running[0].communicate(timeout=20)
        assert running[0].returncode == -signal.SIGKILL
    due = 0
    done = subprocess.run(argv, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, check=True)
    totals = msgspec.json.decode(done.stdout)
    assert (totals["lines"], totals["accepted"], totals["malformed"]) == (4_000, 3_920, 80)
    assert totals["resumed"] > 0
    rejects = [json.loads(row)["line"] for row in Path(totals["rejects"]).read_text().splitlines()]
    assert rejects == list(range(50, 4_001, 50))

    whole: list[str] = []
    collector.accepted, seen = [], set(accepted(collector))
    collector.answer = accept
    import_access_log([path], collector_url=collector.url, key=key, rejects=tmp_path / "other")
    whole = accepted(collector)
    assert seen == set(whole)
    assert len(set(whole)) == 3_920
