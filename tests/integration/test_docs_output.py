"""The output shown in docs/ is what the commands print: a whole walk through the pages, on a stack of its own.

Numbers, ids, times and paths differ from run to run: lines are compared by their words. Every line that a page shows
must be printed.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest

from cli.main import cli

pytestmark = pytest.mark.stack

_ROOT = Path(__file__).parents[2]
_PAGES = ("stack.md", "debugging.md", "test-server.md", "import.md")
_BLOCK = re.compile(r"^```\n(\$ sluice .*?)^```", re.MULTILINE | re.DOTALL)
# The five lines of the page's events.jsonl: stored, repeated, contract broken, no consent, unknown field.
_ORDER = (
    '{"event_id":"order-17","event_type":"custom_event","name":"order_placed","visitor_id":"v-doc",'
    '"properties":{"total":25.5},"consent_state":"granted"}'
)
_EVENTS = (
    _ORDER,
    _ORDER,
    '{"event_type":"page_view","visitor_id":"v-doc","properties":{"status":"two hundred"},"consent_state":"granted"}',
    '{"event_type":"page_view","visitor_id":"v-doc","consent_state":"denied"}',
    '{"event_type":"page_view","visitor_id":"v-doc","adress":"x","consent_state":"granted"}',
)


def _shown(page: str) -> list[tuple[str, list[str]]]:
    """(command, lines of its output) of a page, in order."""
    out: list[tuple[str, list[str]]] = []
    for block in _BLOCK.findall((_ROOT / "docs" / page).read_text(encoding="utf-8")):
        for line in block.splitlines():
            if line.startswith("$ "):
                out.append((line[2:], []))
            elif line.strip():
                out[-1][1].append(line)
    return out


def _words(line: str) -> str:
    """A line without what differs from run to run."""
    line = re.sub(r"(?:/[\w.-]+)*/?\.sluice(?:/[\w./-]+)?|/srv/\S+", "PATH", line)
    line = re.sub(r"slc_live_\S+", "KEY", line)
    line = re.sub(r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b", "ID", line)
    line = re.sub(r"\d[\d,.:@T-]*Z?", "0", line)
    line = re.sub(r"\b0 (?:ms|s|min|h)\b", "0 TIME", line)
    return re.sub(r"\s+", " ", line).strip()


def _output_of(page: str, command: str, nth: int = 0) -> list[str]:
    found = [lines for shown, lines in _shown(page) if shown == command]
    assert len(found) > nth, f"docs/{page} does not show `{command}`"
    return found[nth]


def _check(page: str, command: str, printed: str, *, nth: int = 0, leave_out: str = r"(?!)") -> None:
    have = {_words(line) for line in printed.splitlines()}
    for line in _output_of(page, command, nth):
        if not re.search(leave_out, line):
            assert _words(line) in have, f"docs/{page} shows for `{command}`:\n  {line}\nprinted:\n{printed}"


class _Shell:
    def __init__(self, folder: Path) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
        self._env = kept | {"PYTHONPATH": str(_ROOT), "SLUICE_STATE_DIR": str(folder / ".sluice"), "COLUMNS": "120"}
        self.folder = folder

    def __call__(self, command: str) -> str:
        argv = [sys.executable, "-m", "cli", *shlex.split(command)[1:]]
        done = subprocess.run(
            argv, env=self._env, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False
        )
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Shell]:
    folder = tmp_path_factory.mktemp("walk")
    shutil.copy(_ROOT / "cli/demo/data/access.log.gz", folder / "access.log.gz")
    (folder / "logs").mkdir()
    (folder / "logs" / "shop.log").write_text(
        '1.2.3.4 - - [01/Mar/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "A"\n'
    )
    (folder / "events.jsonl").write_text("\n".join(_EVENTS) + "\n")
    made = _Shell(folder)
    yield made
    made("sluice down --now")


def test_the_walk_through_the_pages(shell: _Shell) -> None:
    up = "sluice up --detach --workers 2"
    _check("stack.md", up, shell(up), leave_out=r"(starting|ready) \(pid|^applying|^starting |logs  |key  ")
    log = "sluice import access-log access.log.gz"
    _check("import.md", log, shell(log))
    time.sleep(3.0)  # the rows
    _check("import.md", log, shell(log), nth=1)
    for command in ("sluice import access-log logs", "sluice import access-log --tenant other logs/shop.log"):
        _check("import.md", command, shell(command))
    page_view, from_file, as_json = [c for c, _ in _shown("debugging.md") if c.startswith("sluice send")]
    _check("debugging.md", page_view, shell(page_view))
    _check("debugging.md", from_file, shell(from_file))
    printed = msgspec.json.decode(shell(as_json).splitlines()[-1])
    shown = msgspec.json.decode(_output_of("debugging.md", as_json)[0])
    assert (list(printed), printed["state"]) == (list(shown), shown["state"])
    tail = next(c for c, _ in _shown("debugging.md") if c.startswith("sluice tail") and "--json" in c)
    letter = msgspec.json.decode(shell(tail).splitlines()[0])
    shown = msgspec.json.decode(_output_of("debugging.md", tail)[0])
    assert (list(letter), letter["faults"]) == (list(shown), shown["faults"])
    status = msgspec.json.decode(shell("sluice status --json"))
    assert status["processes"]
    # The page's status was taken while a worker was down: what fell is told, everything else is as shown.
    _check("stack.md", "sluice status", shell("sluice status"), leave_out=r"degraded|streams-1|^! |^  more|table ")
    pid = next(p["pid"] for p in status["processes"] if p["name"] == "streams-1")
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while "streams-1 fell: killed by SIGKILL" not in (fallen := shell("sluice status")):
        assert time.monotonic() < deadline, fallen
    _check("stack.md", "sluice down", shell("sluice down"), leave_out=r"draining \(pid|collector stopped|^draining$")
    _check("stack.md", "sluice status", shell("sluice status"), nth=1)
    _check("stack.md", "sluice reset --yes", shell("sluice reset --yes"))


@pytest.mark.parametrize("page", _PAGES)
def test_every_command_that_is_shown_exists_with_its_options(page: str) -> None:
    commands = [command for command, _ in _shown(page)]
    assert commands
    for command in commands:
        words = shlex.split(command)[1:]
        found: click.Command = cli
        context = click.Context(cli, info_name="sluice")
        while isinstance(found, click.Group) and words and not words[0].startswith("-"):
            sub = found.get_command(context, words[0])
            assert sub is not None, f"docs/{page}: `{command}`"
            found, words = sub, words[1:]
        known = {option for parameter in found.params for option in parameter.opts}
        unknown = {word for word in words if word.startswith("--")} - known
        assert not unknown, f"docs/{page}: `{command}` has {unknown}"
