"""`sluice import access-log` as a person or a script meets it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.importer.command import access_log
from core.errors import ConfigError, InputError

LINE = '1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET /{} HTTP/1.1" 200 12 "-" "agent"\n'
# Without a ClickHouse. What is asked of one is in tests/integration/test_import.py.
UNCHECKED = ("--no-warehouse-check",)
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def invoke(collector: Any, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "key").write_text(f"{key}\n")
    (tmp_path / "access.log").write_text("bad\n" + "".join(LINE.format(n) for n in range(3)))

    def run(*arguments: str, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(
            access_log, [*UNCHECKED, "--url", collector.url, "--key-file", "key", *arguments], input=stdin
        )

    return run


def test_summary_for_people(invoke: Any, tmp_path: Path) -> None:
    result = invoke("access.log")
    rejects = tmp_path / "state" / "rejects" / "access.log.jsonl"
    assert result.exit_code == 0
    assert [row.strip() for row in result.stdout.splitlines()] == [
        "4 lines",
        "3 accepted",
        "0 dropped for lack of consent",
        f"1 rejected, see {rejects}",
        "1 malformed.format",
    ]
    assert json.loads(rejects.read_text())["raw"] == "bad"


def test_summary_for_programs(invoke: Any, tmp_path: Path) -> None:
    result = invoke("--json", "--rejects", "bad.jsonl", "access.log")
    assert json.loads(result.stdout) == {
        "lines": 4, "sent": 3, "accepted": 3, "rejected": 1, "malformed": 1, "refused": 0, "consent_dropped": 0,
        "already_stored": 0, "resumed": 0,
        "reasons": {"malformed.format": 1}, "complete": True, "rejects": "bad.jsonl",
    }  # fmt: skip
    assert (tmp_path / "bad.jsonl").exists()
    (tmp_path / "good.log").write_text(LINE.format(1))
    assert json.loads(invoke("--json", "good.log").stdout)["rejects"] is None


def test_options_reach_the_collector(invoke: Any, collector: Any) -> None:
    assert invoke("--site", "https://e.org", "--consent", "pending", "--batch", "2", "access.log").exit_code == 0
    assert [len(request["events"]) for request in collector.requests] == [1, 2]
    assert {event["consent_state"] for event in collector.sent} == {"pending"}
    assert collector.sent[0]["url"] == "https://e.org/0"


def test_standard_input_and_source(invoke: Any, collector: Any, tmp_path: Path) -> None:
    invoke("access.log")
    data = (tmp_path / "access.log").read_bytes()
    assert invoke("--source", "access.log", "-", stdin=data).exit_code == 0
    assert collector.sent[:3] == collector.sent[3:]


def test_a_source_is_no_path(invoke: Any, tmp_path: Path) -> None:
    assert invoke("--source", "../../up", "access.log").exit_code == 0
    assert [path.name for path in (tmp_path / "state" / "rejects").iterdir()] == [".._.._up.jsonl"]


def test_without_url_and_key_the_running_stack_is_asked(
    invoke: Any, collector: Any, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def resolve(settings: Any) -> Any:
        asked.append(settings.state_dir)
        return types.SimpleNamespace(collector_url=collector.url, bootstrap_key=key)

    stub = types.ModuleType("cli.endpoints")
    stub.resolve = resolve  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cli.endpoints", stub)
    for arguments in ([], ["--url", f"{collector.url}/"], ["--key-file", "key"]):
        assert CliRunner().invoke(access_log, [*UNCHECKED, *arguments, "access.log"]).exit_code == 0
    assert len(asked) == 3
    assert invoke("access.log").exit_code == 0
    assert len(asked) == 3  # both were given

    result = CliRunner().invoke(
        access_log, [*UNCHECKED, "--url", collector.url.replace("127.0.0.1", "localhost"), "access.log"]
    )
    assert isinstance(result.exception, ConfigError)  # the stack's key is for the stack
    assert len(collector.requests) == 4
    monkeypatch.setenv("SLUICE_BOOTSTRAP_KEY", key)
    assert CliRunner().invoke(access_log, [*UNCHECKED, "--url", collector.url, "access.log"]).exit_code == 0


def test_errors_are_ours_and_come_after_the_summary_so_far(invoke: Any, collector: Any, reply: Any) -> None:
    accept = collector.answer
    collector.script = [accept, lambda _: reply(401)]
    result = invoke("--batch", "2", "access.log")
    assert isinstance(result.exception, ConfigError)
    assert "1 accepted" in result.stdout
    assert "continues it: nothing is doubled" in result.stdout
    for arguments in (("missing.log",), ("key",)):
        assert isinstance(invoke(*arguments).exception, InputError)
        assert invoke(*arguments).stdout == ""
    assert isinstance(invoke("--key-file", "missing", "access.log").exception, ConfigError)


def test_unknown_options_are_refused(invoke: Any, collector: Any) -> None:
    for arguments in (
        (),
        ("--consent", "maybe", "access.log"),
        ("--batch", "0", "access.log"),
        ("--batch", "2501", "x"),
    ):
        assert invoke(*arguments).exit_code == 2, arguments
    assert collector.requests == []


def test_ctrl_c_ends_with_a_summary_and_130(invoke: Any, collector: Any, reply: Any, tmp_path: Path) -> None:
    process: list[subprocess.Popen[str]] = []
    accept = collector.answer

    def interrupt(events: list[dict[str, Any]]) -> Any:
        process[0].send_signal(signal.SIGINT)
        return accept(events)

    collector.script = [accept, interrupt, lambda _: reply(503, headers={"Retry-After": "60"})]
    (tmp_path / "long.log").write_text("".join(LINE.format(n) for n in range(500)))
    process.append(
        subprocess.Popen(
            [sys.executable, "-c", "from cli.importer.command import access_log; access_log()",
             *UNCHECKED, "--url", collector.url, "--key-file", "key", "--batch", "10", "long.log"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        )
    )  # fmt: skip
    out, err = process[0].communicate(timeout=20)
    assert process[0].returncode == 130, err
    assert "Traceback" not in err
    assert "20 accepted" in out
    assert "Running the same import again continues it: nothing is doubled." in out
