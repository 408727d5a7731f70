"""`sluice send` through the real door: what it says of each event, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest

from infra import ports

pytestmark = pytest.mark.stack

_ROOT = Path(__file__).parents[2]


def _send(state: Path, *argv: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
    return subprocess.run(
        [sys.executable, "-m", "cli", "send", *argv],
        env=kept | {"SLUICE_STATE_DIR": str(state), "PYTHONPATH": str(_ROOT)} | more,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _fates(client: Any, *argv: str, stdin: str = "") -> tuple[int, list[Any]]:
    done = _send(client.stack.settings.state_dir, "--json", *argv, stdin=stdin)
    assert done.stderr == ""
    return done.returncode, [msgspec.json.decode(line) for line in done.stdout.splitlines()]


def _event(**fields: Any) -> dict[str, Any]:
    return {"event_type": "page_view", "consent_state": "granted", "visitor_id": f"v-{uuid.uuid4()}"} | fields


def test_an_event_made_of_options_is_followed_to_its_row_and_rollups(client: Any) -> None:
    visitor, path = f"v-{uuid.uuid4()}", f"/p/{uuid.uuid4()}"
    url = f"https://shop.example{path}?utm_source=send%20test"
    argv = ("--event", "page_view", "--url", url, "--visitor", visitor, "--property", "status=200")
    code, [fate] = _fates(client, *argv)
    assert (code, fate["state"], fate["faults"]) == (0, "stored", [])
    assert 0 < fate["outcome_ms"] <= fate["row_ms"] < 15_000
    [row] = client.server.rows(
        "SELECT event_id, raw_partition, raw_offset, properties FROM events WHERE visitor_id = {v:String}", v=visitor
    )
    assert row == [fate["event_id"], fate["raw"]["partition"], fate["raw"]["offset"], '{"status":200}']
    rollups = {entry["view"]: entry for entry in fate["rollups"]}
    assert set(rollups) == {"events_daily", "page_views_daily", "pages_daily", "utm_daily"}
    assert (rollups["pages_daily"]["keys"], rollups["pages_daily"]["value"]) == ({"path": path}, 1)
    assert rollups["utm_daily"]["keys"]["utm_source"] == "send test"


def test_a_file_of_everything_that_can_happen(client: Any, tmp_path: Path) -> None:
    twice = _event(event_id=str(uuid.uuid4()))
    events = [
        _event(),
        twice,
        twice,
        _event(properties={"status": "x"}),
        _event(consent_state="denied"),
        _event(typo=1),
        17,
    ]
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(map(msgspec.json.encode, events)))
    code, fates = _fates(client, str(file))
    assert code == 1
    assert [fate["state"] for fate in fates] == [
        *("stored", "stored", "duplicate", "dead_letter", "consent_dropped", "rejected", "rejected"),
    ]
    assert fates[2]["first"] == fates[1]["raw"]
    assert fates[2]["raw"] != fates[1]["raw"]
    assert (fates[3]["faults"][0]["code"], fates[5]["faults"][0]["code"]) == ("wrong_type", "unknown_field")
    assert all(fate["advice"] for fate in fates if fate["state"] != "stored")


def test_a_repeat_names_the_first_and_is_fine_where_allowed(client: Any) -> None:
    body = msgspec.json.encode([_event(event_id=f"a\\b-{uuid.uuid4()}")]).decode()
    code, [first] = _fates(client, "-", stdin=body)
    assert (code, first["state"]) == (0, "stored")
    code, [again] = _fates(client, "-", stdin=body)
    assert (code, again["state"], again["first"]) == (1, "duplicate", first["raw"])
    code, [again] = _fates(client, "--json-inline", body, "--allow-duplicate")
    assert (code, again["state"], again["first"]) == (0, "duplicate", first["raw"])


def test_words_say_what_happened_and_what_to_do(client: Any) -> None:
    state = client.stack.settings.state_dir
    done = _send(state, "--event", "page_view", "--property", "status=none")
    assert done.returncode == 1
    assert "dead letter  page_view" in done.stdout
    reason = 'expected integer from 100 to 599, or null, got string "none"'
    assert f"wrong_type at $.properties.status: {reason}" in done.stdout
    assert "change the contract" in done.stdout
    done = _send(state, "--event", "signup", "--consent", "denied")
    assert (done.returncode, "dropped: no consent" in done.stdout) == (1, True)


def test_not_waiting_ends_with_the_collectors_word(client: Any) -> None:
    code, [fate] = _fates(client, "--event", "signup", "--no-wait")
    assert (code, fate["state"], fate["raw"]) == (0, "accepted", None)


def test_what_is_wrong_with_the_call_or_the_input(client: Any, tmp_path: Path) -> None:
    state = client.stack.settings.state_dir
    before = client.settle()
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"event_type":"page_view"}\n{"event_type":\n')
    for argv, code, words in (
        ((), 64, "--help"),
        (("--event", "a", "--json-inline", "{}"), 64, "one of"),
        (("-", "--url", "https://x/"), 64, "--event"),
        ((str(tmp_path / "none.json"),), 65, "none.json"),
        ((str(broken),), 65, "line 2"),
        (("--event", "a", "--key-file", str(broken)), 78, "broken.jsonl"),
        (("--event", "a", "--collector", "http://127.0.0.1:1"), 78, "--key-file"),
    ):
        done = _send(state, *argv)
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    assert client.settle() == before


def test_a_wrong_key_and_nobody_there(client: Any, tmp_path: Path) -> None:
    state = client.stack.settings.state_dir
    key = tmp_path / "key"
    key.write_text("slc_wrong\n")
    done = _send(state, "--event", "a", "--key-file", str(key))
    assert (done.returncode, "--key-file" in done.stderr) == (78, True)
    assert _send(tmp_path / "nowhere", "--event", "a").returncode == 69
    nobody = f"http://127.0.0.1:{ports.pick(1)[0]}"
    done = _send(
        tmp_path / "nowhere", "--event", "a", "--no-wait", SLUICE_COLLECTOR_URL=nobody, SLUICE_BOOTSTRAP_KEY="k"
    )
    assert done.returncode == 69
    assert nobody in done.stderr
