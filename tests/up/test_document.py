"""The status document and who is believed: a live writer, a frozen one, a dead one, another program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from cli.up import document, holder
from cli.up.status import as_object, exit_code
from core.clock import ManualClock
from infra.state import exclusive, open_folder
from tests.infra.children import eventually
from tests.up.snapshots import snapshot

_HOLD = """
import sys, time
from pathlib import Path
from infra.state import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def held_by_another(folder: Path, *argv: str) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(folder), *argv], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == b"held\n"
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return open_folder(tmp_path / "state")


def clock_at(seconds: float) -> ManualClock:
    clock = ManualClock()
    clock.advance(seconds)
    return clock


def test_nothing_runs(folder: Path) -> None:
    found = document.find(folder)
    assert (found.condition, found.pid, exit_code(found)) == ("none", None, 69)
    assert "no stack is running" in str(as_object(found, str(folder))["reason"])


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert document.find(tmp_path / "nowhere").condition == "none"


def test_live(folder: Path) -> None:
    with exclusive(folder):
        document.write(folder, snapshot(pid=os.getpid()))
        found = document.find(folder, clock=clock_at(501))
    assert (found.condition, found.pid, exit_code(found)) == ("live", os.getpid(), 0)


def test_degraded_starting_and_draining_exit_1(folder: Path) -> None:
    with exclusive(folder):
        for fields in ({"problems": ("x",)}, {"phase": "starting"}, {"phase": "draining"}):
            document.write(folder, snapshot(pid=os.getpid(), **fields))
            assert exit_code(document.find(folder, clock=clock_at(501))) == 1


def test_a_writer_that_is_frozen(folder: Path) -> None:
    with exclusive(folder):
        document.write(folder, snapshot(pid=os.getpid()))
        found = document.find(folder, clock=clock_at(530))
    assert (found.condition, exit_code(found), as_object(found, "")["health"]) == ("silent", 1, "degraded")


def test_what_a_crash_left_behind_is_not_believed(folder: Path) -> None:
    with held_by_another(folder) as child:
        document.write(folder, snapshot(pid=child.pid))
        assert document.find(folder, clock=clock_at(501)).condition == "live"
    found = document.find(folder, clock=clock_at(501))
    assert (found.condition, exit_code(found)) == ("none", 69)
    assert f"the last one (pid {child.pid}) ended unexpectedly" in str(as_object(found, str(folder))["reason"])


def test_a_number_that_another_process_has_now_proves_nothing(folder: Path) -> None:
    (folder / "lock").write_text(f"{os.getpid()}\n")
    document.write(folder, snapshot(pid=os.getpid()))
    assert holder.of(folder) is None
    assert document.find(folder, clock=clock_at(501)).condition == "none"


@pytest.mark.parametrize("text", ["", "x\n", "-1\n", "99999999999999999999\n", "\udcff"])
def test_a_damaged_lock_file_names_nobody(folder: Path, text: str) -> None:
    (folder / "lock").write_bytes(text.encode(errors="surrogateescape"))
    assert holder.of(folder) is None


def test_a_stack_without_a_document_yet_and_a_program_that_writes_none(folder: Path) -> None:
    with held_by_another(folder, "up"):
        assert document.find(folder).condition == "starting"
    with held_by_another(folder, "demo"):
        found = document.find(folder)
    assert (found.condition, exit_code(found)) == ("other", 1)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format":99}'])
def test_a_document_that_cannot_be_read_is_none(folder: Path, content: bytes) -> None:
    (folder / "status.json").write_bytes(content)
    assert document.find(folder).snapshot is None


def test_only_its_writer_removes_it(folder: Path) -> None:
    document.write(folder, snapshot(pid=77))
    document.remove(folder, pid=78)
    assert (folder / "status.json").exists()
    assert (folder / "status.json").stat().st_mode & 0o077 == 0
    document.remove(folder, pid=77)
    assert not (folder / "status.json").exists()


def test_the_shape_of_the_json(folder: Path) -> None:
    """What scripts rely on. Adding is fine, renaming is not."""
    with exclusive(folder):
        document.write(folder, snapshot(pid=os.getpid()))
        found = document.find(folder, clock=clock_at(501))
    shape = msgspec.json.decode(msgspec.json.encode(as_object(found, str(folder))))
    assert {"running", "condition", "pid", "health", "phase", "caught_up", "freshness_s", "up_s"} <= set(shape)
    assert {"processes", "figures", "rates", "problems", "notes", "addresses", "state_dir"} <= set(shape)
    assert (shape["running"], shape["health"], shape["caught_up"], shape["freshness_s"]) == (
        True,
        "healthy",
        False,
        1.5,
    )
    assert set(shape["processes"][0]) >= {"name", "state", "pid", "up_s", "restarts", "rss_bytes", "last_reason"}
    assert set(shape["figures"]) >= {"received", "curated", "duplicates", "dead_letters", "rows"}
    assert set(shape["figures"]) >= {"waiting_streams", "waiting_sink", "disk_used_bytes", "disk_free_bytes"}
    assert shape["addresses"]["key_hint"] == "slc_live_abc…"


def test_a_stopped_process_is_still_the_holder(folder: Path) -> None:
    with held_by_another(folder) as child:
        child.send_signal(signal.SIGSTOP)
        time.sleep(0.1)
        assert holder.of(folder) == child.pid
    assert eventually(lambda: holder.of(folder) is None)
