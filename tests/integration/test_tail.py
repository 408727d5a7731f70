"""`sluice tail` beside the running stack: what it shows, how it is filtered, how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cli.tail import follow
from cli.tail.filters import Filter

pytestmark = pytest.mark.stack

_ROOT = Path(__file__).parents[2]


def _environment(state: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
    return kept | {"SLUICE_STATE_DIR": str(state), "PYTHONPATH": str(_ROOT)}


@contextmanager
def _tail(client: Any, *argv: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "tail", *argv],
        env=_environment(client.stack.settings.state_dir),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _past(client: Any, *argv: str) -> list[Any]:
    """What `tail --since 10m --json …` shows; `-n` among the arguments ends it."""
    with _tail(client, "--since", "10m", "--json", *argv) as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    return [msgspec.json.decode(line) for line in out.splitlines()]


def _event(visitor: str, **fields: Any) -> dict[str, Any]:
    base = {"event_id": str(uuid.uuid4()), "event_type": "page_view", "consent_state": "granted"}
    return base | {"visitor_id": visitor} | fields


@pytest.fixture(scope="module")
def story(client: Any) -> dict[str, Any]:
    """Five events of one visitor: two good ones, a repeat, a broken one, a custom one."""
    visitor = f"v-{uuid.uuid4()}"
    good = _event(visitor, url="https://shop.example/\x1b[31mred")
    bad = _event(visitor, properties={"status": "two hundred"})
    custom = _event(visitor, event_type="custom_event", name="tail_signup")
    client.send({"events": [good, bad]})
    client.settle()
    client.send({"events": [good, custom]})
    client.settle()
    return {"visitor": visitor, "good": good, "bad": bad, "custom": custom}


def test_every_outcome_is_shown_in_order_with_its_reason(client: Any, story: dict[str, Any]) -> None:
    shown = _past(client, "--visitor", story["visitor"], "-n", "4")
    assert [(seen["outcome"], seen["event"]["event_id"]) for seen in shown] == [
        ("curated", story["good"]["event_id"]),
        ("dead_letter", story["bad"]["event_id"]),
        ("duplicate", story["good"]["event_id"]),
        ("curated", story["custom"]["event_id"]),
    ]
    [fault] = shown[1]["faults"]
    assert (fault["code"], fault["path"], fault["got"]) == ("wrong_type", "$.properties.status", 'string "two hundred"')
    offsets = [seen["raw"]["offset"] for seen in shown]
    assert offsets == sorted(set(offsets))
    assert {seen["raw"]["partition"] for seen in shown} == {shown[0]["raw"]["partition"]}


def test_many_that_are_not_wanted_leave_the_order(
    client: Any, story: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "_SORTED_TOGETHER", 5)
    client.send({"events": [_event(f"v-{uuid.uuid4()}") for _ in range(50)]})
    client.settle()
    since_ms = time.time_ns() // 1_000_000 - 600_000
    wanted = Filter(visitor=story["visitor"])
    follower = follow.Follower(
        client.stack.settings, name="test", since_ms=since_ms, wants=wanted.wants, on_broker=lambda _back: None
    )
    seen: list[str] = []
    deadline = time.monotonic() + 30
    while len(seen) < 4 and time.monotonic() < deadline:
        seen += [sighting.outcome for sighting in follower.poll(0.2)]
    follower.close()
    assert seen == ["curated", "dead_letter", "duplicate", "curated"]


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("--only", "dead-letter"), ["dead_letter"]),
        (("--only", "duplicate"), ["duplicate"]),
        (("--only", "dead-letter", "--only", "duplicate"), ["dead_letter", "duplicate"]),
        (("--event", "tail_signup"), ["curated"]),
        (("--event", "page_view", "--tenant", "demo"), ["curated", "dead_letter", "duplicate"]),
    ],
)
def test_filters(client: Any, story: dict[str, Any], argv: tuple[str, ...], expected: list[str]) -> None:
    shown = _past(client, "--visitor", story["visitor"], *argv, "-n", str(len(expected)))
    assert [seen["outcome"] for seen in shown] == expected


def test_since_begins_where_it_says(client: Any, story: dict[str, Any]) -> None:
    """From the repeat on: it and the custom event, not the two before them."""
    third = _past(client, "--visitor", story["visitor"], "-n", "3")[2]
    with _tail(client, "--since", third["arrival_at"], "--visitor", story["visitor"], "--json", "-n", "2") as process:
        out, _ = process.communicate(timeout=30)
    shown = [msgspec.json.decode(line) for line in out.splitlines()]
    assert [seen["event"]["event_id"] for seen in shown] == [story["good"]["event_id"], story["custom"]["event_id"]]


def test_live_events_come_as_safe_lines_and_ctrl_c_counts_them(client: Any) -> None:
    visitor = f"v-{uuid.uuid4()}"
    with _tail(client, "--visitor", visitor) as process:
        assert process.stdout is not None
        seen: list[str] = []
        deadline = time.monotonic() + 20
        # It starts at the end: an event that is sent before it has found that is past.
        while not seen and time.monotonic() < deadline:
            client.send(_event(visitor, url="https://shop.example/\x1b[2J\x9b"))
            os.set_blocking(process.stdout.fileno(), False)
            time.sleep(0.4)
            seen = process.stdout.readlines()
        os.set_blocking(process.stdout.fileno(), True)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
        lines = seen + out.splitlines(keepends=True)
    assert process.returncode == 0
    assert all("curated" in line and visitor in line and "\\x1b[2J\\x9b" in line for line in lines)
    assert "\x1b" not in "".join(lines)
    assert err == f"{len(lines)} event{'' if len(lines) == 1 else 's'} shown\n"


def test_a_reader_that_leaves_ends_it_quietly(client: Any, story: dict[str, Any]) -> None:
    with _tail(client, "--since", "10m", "--json") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        client.send(_event(story["visitor"]))
        client.send(_event(story["visitor"]))
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_no_stack_and_words_that_mean_nothing(client: Any, tmp_path: Path) -> None:
    for argv, code in ((("--since", "yesterday"), 64), (("--only", "lost"), 64), ((), 69)):
        done = subprocess.run(
            [sys.executable, "-m", "cli", "tail", *argv],
            env=_environment(tmp_path / "nowhere"),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
