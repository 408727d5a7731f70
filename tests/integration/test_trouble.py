"""What goes wrong on a user's machine: a clear message, the documented exit code, nothing half-written, nothing left
running."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import urllib3

from cli.stack import running
from core.errors import SluiceError
from core.settings import Settings
from infra import ports
from infra.state import exclusive, open_folder
from sinks.clickhouse import ClickHouse

pytestmark = pytest.mark.stack

_ROOT = Path(__file__).parents[2]


def _environment(state: Path, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
    return kept | {"SLUICE_STATE_DIR": str(state), "PYTHONPATH": str(_ROOT)} | more


def _sluice(*argv: str, state: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *argv],
        env=_environment(state, **more),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def _left_running(state: Path) -> list[str]:
    """Command lines of live processes that name the state folder, or have it in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(state).encode() in text and int(process.name) != os.getpid():
            found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:200])
    return found


def test_the_demo_twice_adds_nothing_the_second_time(tmp_path: Path) -> None:
    first = _sluice("demo", "--json", "--state", str(tmp_path / "demo"), state=tmp_path / "unused")
    assert first.returncode == 0, first.stderr
    result = msgspec.json.decode(first.stdout)
    assert result["equal"] is True
    assert result["lines"] == 10_000
    assert result["outcomes"] == {"curated": result["accepted"], "duplicate": 0, "dead_letter": 0}
    assert result["rows"] == result["accepted"]
    assert len(result["answers"]) == 6
    second = _sluice("demo", "--json", "--state", str(tmp_path / "demo"), state=tmp_path / "unused")
    again = msgspec.json.decode(second.stdout)
    assert (second.returncode, again["equal"], again["rows"]) == (0, True, result["rows"])
    assert again["outcomes"] == {"curated": 0, "duplicate": 0, "dead_letter": 0}
    assert (again["accepted"], again["already_stored"]) == (0, result["accepted"])
    assert _left_running(tmp_path) == []


@pytest.mark.long
def test_a_tampered_row_makes_the_demo_fail(tmp_path: Path) -> None:
    """The comparison can fail: one row too many in the database and the demo says so."""
    with running(Settings(state_dir=tmp_path / "demo")) as stack:
        ClickHouse(stack.settings).execute(
            "INSERT INTO events_log "
            "(raw_partition, kafka_partition, tenant, event, event_type, occurred_at, arrival_at, url) "
            "VALUES (999, 999, 'demo', 'page_view', 'page_view', '2015-05-17 12:00:00', now64(3), '/planted')"
        )
    done = _sluice("demo", "--json", "--state", str(tmp_path / "demo"), state=tmp_path / "unused")
    assert done.returncode == 1
    unequal = {a["title"] for a in msgspec.json.decode(done.stdout)["answers"] if not a["equal"]}
    assert "page views by day" in unequal


def test_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for setting in ("SLUICE_COLLECTOR_PORT", "SLUICE_CLICKHOUSE_PORT", "SLUICE_KAFKA_PORT"):
            done = _sluice("demo", "--state", str(tmp_path / setting), state=tmp_path, **{setting: port})
            assert done.returncode == 73, done.stderr
            assert port in done.stderr
            assert setting in done.stderr
            assert str(os.getpid()) in done.stderr  # who has it
    assert _left_running(tmp_path) == []


def test_state_folder_of_a_live_process(tmp_path: Path) -> None:
    folder = open_folder(tmp_path / "state")
    with exclusive(folder):
        done = _sluice("demo", "--state", str(folder), state=tmp_path)
    assert done.returncode == 75
    assert str(os.getpid()) in done.stderr


def test_an_unknown_setting_names_the_nearest(tmp_path: Path) -> None:
    done = _sluice("settings", state=tmp_path, SLUICE_PARTITION="3")
    assert done.returncode == 78
    assert "SLUICE_PARTITIONS" in done.stderr


def test_no_running_stack(tmp_path: Path) -> None:
    done = _sluice("query", "SELECT 1", state=tmp_path / "nowhere")
    assert done.returncode == 69
    assert "sluice up" in done.stderr


def test_jars_missing_and_no_network(tmp_path: Path) -> None:
    """An empty cache and a repository that cannot be reached: what is needed, and how to do without."""
    nowhere = f"http://127.0.0.1:{ports.pick()[0]}"
    done = _sluice(
        "demo",
        "--state",
        str(tmp_path / "state"),
        state=tmp_path,
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        HTTPS_PROXY=nowhere,
        HTTP_PROXY=nowhere,
        https_proxy=nowhere,
        http_proxy=nowhere,
    )
    assert done.returncode == 69, done.stderr
    assert "SLUICE_KAFKA_BOOTSTRAP" in done.stderr
    assert _left_running(tmp_path) == []


def test_ctrl_c_at_any_moment_leaves_nothing_running_and_loses_nothing(tmp_path: Path) -> None:
    state = tmp_path / "demo"
    argv = [sys.executable, "-m", "cli", "demo", "--keep", "--json", "--state", str(state)]
    for after_s in (0.5, 1.5, 3.0, 4.5, 6.0):  # before anything runs, engines starting, flow starting, importing, kept
        child = subprocess.Popen(
            argv, env=_environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        time.sleep(after_s)
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=60)
        # On a busy machine the interpreter may not be there yet after the first.
        assert child.returncode in {0, 130, -signal.SIGINT}, stderr.decode()
        assert b"Traceback" not in stderr
        assert _left_running(state) == []
    done = _sluice("demo", "--json", "--state", str(state), state=tmp_path)
    assert done.returncode == 0, done.stderr
    assert msgspec.json.decode(done.stdout)["equal"] is True


def test_the_demo_killed_leaves_nothing_running_and_the_next_run_recovers(tmp_path: Path) -> None:
    state = tmp_path / "demo"
    argv = [sys.executable, "-m", "cli", "demo", "--keep", "--json", "--state", str(state)]
    child = subprocess.Popen(
        argv, env=_environment(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    time.sleep(6.0)
    child.kill()
    child.wait()
    deadline = time.monotonic() + 40
    while _left_running(state):
        assert time.monotonic() < deadline, _left_running(state)
        time.sleep(0.2)
    done = _sluice("demo", "--json", "--state", str(state), state=tmp_path)
    assert done.returncode == 0, done.stderr
    assert msgspec.json.decode(done.stdout)["equal"] is True


def test_a_file_that_is_no_log(client: object, tmp_path: Path) -> None:
    state = client.stack.settings.state_dir  # type: ignore[attr-defined]
    binary = tmp_path / "picture.bin"
    binary.write_bytes(os.urandom(4096))
    before = client.settle()  # type: ignore[attr-defined]
    done = _sluice("import", "access-log", str(binary), state=state)
    assert done.returncode == 65
    assert "picture.bin" in done.stderr
    assert client.settle() == before  # type: ignore[attr-defined]


def test_import_twice_through_the_command_adds_nothing(client: object, tmp_path: Path) -> None:
    state = client.stack.settings.state_dir  # type: ignore[attr-defined]
    lines = [
        f'10.0.0.{i % 5} - - [01/Mar/2026:10:00:{i:02} +0000] "GET /x{i} HTTP/1.1" 200 5 "-" "Agent"' for i in range(40)
    ]
    log = tmp_path / "small.log"
    log.write_text("\n".join([*lines, "no log line at all"]) + "\n")
    before = client.settle()  # type: ignore[attr-defined]
    done = _sluice("import", "access-log", str(log), "--json", "--quiet", state=state)
    totals = msgspec.json.decode(done.stdout)
    assert (done.returncode, totals["lines"], totals["accepted"], totals["malformed"]) == (0, 41, 40, 1)
    middle = client.settle()  # type: ignore[attr-defined]
    assert middle["curated"] - before.get("curated", 0) == 40
    # Without asking ClickHouse first, so that the pipeline has to find out by itself.
    _sluice("import", "access-log", str(log), "--json", "--quiet", "--no-warehouse-check", state=state)
    after = client.settle()  # type: ignore[attr-defined]
    assert after["curated"] == middle["curated"]
    assert after["duplicate"] - middle.get("duplicate", 0) == 40


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 600 MB. Needs the right to mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"cannot mount a small file system here: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _fill(folder: Path, *, leave_mib: int) -> Path:
    """Take all room but `leave_mib` MiB."""
    file = folder / "filling"
    with file.open("wb") as out, contextlib.suppress(OSError):
        while leave_mib == 0 or shutil.disk_usage(folder).free > leave_mib << 20:
            out.write(bytes(1 << 20))
            out.flush()
    return file


def test_a_full_disk_is_refused_at_the_start_and_survived_later(small_disk: Path, tmp_path: Path) -> None:
    filling = _fill(small_disk, leave_mib=100)
    done = _sluice("demo", "--state", str(small_disk / "demo"), state=tmp_path)
    assert done.returncode == 74, done.stderr
    assert "MiB" in done.stderr
    filling.unlink()
    with running(Settings(state_dir=small_disk / "state", collector_ack_timeout_ms=2_000)) as stack:
        url, key = stack.endpoints.collector_url, stack.endpoints.bootstrap_key
        server = ClickHouse(stack.settings)
        acknowledged = []
        filling = _fill(small_disk, leave_mib=0)
        for number in range(3):
            event = {
                "event_type": "page_view",
                "visitor_id": "v",
                "consent_state": "granted",
                "event_id": f"full-{number}",
            }
            answer = urllib3.request(
                "POST",
                f"{url}/api/v1/tracking/collect/",
                json=event,
                headers={"Authorization": f"Bearer {key}"},
                retries=False,
                timeout=30,
            )
            assert answer.status in {200, 503}
            if answer.status == 200:
                acknowledged.append(event["event_id"])
            if len(acknowledged) >= 5:
                break
        filling.unlink()
        deadline = time.monotonic() + 60
        stored: set[str] = set()
        while not stored >= set(acknowledged):
            assert time.monotonic() < deadline, (acknowledged, stored)
            with contextlib.suppress(SluiceError):
                stored = {i for (i,) in server.rows("SELECT event_id FROM events")}
            time.sleep(0.2)
        assert server.scalar("SELECT count() - uniqExact(event_id) FROM events") == 0
