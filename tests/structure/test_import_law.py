"""The shape of the house: who imports whom, what an import may do, what a room says of itself."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.structure import imports
from tests.structure.imports import NOT_PURE, PURE, ROOMS, ROOT

MAX_LINES = 600
PRESENT = sorted(room for room in ROOMS if (ROOT / room).is_dir())


def test_the_rooms_are_there() -> None:
    assert {"core", "schemas", "collector", "streams", "sinks", "infra", "cli"} <= set(PRESENT)
    assert len(list(imports.sources())) > 50


def test_every_top_level_package_is_a_room_or_known_not_to_be() -> None:
    """A new folder of code must take its place in the law."""
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages - ROOMS <= {"tests", "bench", "build"}


def test_no_import_breaks_the_law() -> None:
    assert imports.broken() == []


def test_the_flow_reaches_no_schema_registry() -> None:
    """Neither ours, which is a server, nor another: what its ids are is said to a process before its room is loaded."""
    rooms = {"collector", "streams", "sinks"}
    starts = [name for name in map(imports.module_name, imports.sources()) if name.partition(".")[0] in rooms]
    reached = imports.reached(starts)
    assert {"schemas.framing", "schemas.registry"} <= set(reached), "the walk follows imports"
    assert not set(imports.EXCEPT) & set(reached)


def test_batch_logic_reaches_no_broker() -> None:
    reached = imports.reached(PURE)
    assert {*PURE, "core.ids", "schemas.envelope"} <= set(reached), "the walk follows imports"
    assert "streams.engine" not in reached
    guilty = [str(each) for found in reached.values() for each in found if each.top in NOT_PURE]
    assert guilty == []


def test_batch_logic_loads_no_broker() -> None:
    """The same, asked of Python itself."""
    program = f"import sys, {', '.join(PURE)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not (NOT_PURE - {"socket"}) & set(done.stdout.split())


_IMPORT_ALL = """
import importlib, os, sys

ROOT = sys.argv[1]
ACTS = {"socket.connect", "socket.bind", "subprocess.Popen", "os.fork", "os.posix_spawn", "os.mkdir", "os.remove",
        "os.rename"}

def body_of_ours():
    # The innermost module body that runs: libraries do as they like while they are imported.
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    file = frame.f_code.co_filename if frame is not None else ""
    return file.startswith(ROOT + os.sep) and not file.startswith(sys.prefix + os.sep)

def watch(event, args):
    acts = event in ACTS
    if event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        acts = args[0] != os.devnull
    if acts and body_of_ours():
        raise SystemExit(f"{name}: {event} {args[:2]}")

sys.dont_write_bytecode = True
sys.path.insert(0, ROOT)
sys.addaudithook(watch)
for name in sys.argv[2:]:
    importlib.import_module(name)
print(len(sys.argv) - 2)
"""


def import_all(modules: list[str], *, root: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Import `modules` of the house at `root`, in a fresh process that works in `folder` and knows no setting."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    return subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL, str(root), *modules],
        cwd=folder,
        env=environment | {"HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_importing_does_nothing(tmp_path: Path) -> None:
    """No connection, no process, no file written; and no setting is needed."""
    modules = [imports.module_name(path) for path in imports.sources() if path.name != "__main__.py"]
    done = import_all(modules, root=ROOT, folder=tmp_path)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", f"{len(modules)}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "act",
    [
        "open('left_behind', 'w').close()",
        "import socket\nsocket.create_connection(('127.0.0.1', 1))",
        "import subprocess\ndef f():\n    subprocess.run(['true'])\nf()",
        "import os\nos.environ['SLUICE_PARTITIONS']",
    ],
)
def test_a_module_that_acts_when_imported_is_caught(act: str, tmp_path: Path) -> None:
    plant(tmp_path, {"core/__init__.py": "", "core/quiet.py": "import json", "core/acts.py": act})
    assert import_all(["core.quiet"], root=tmp_path, folder=tmp_path).returncode == 0
    assert import_all(["core.quiet", "core.acts"], root=tmp_path, folder=tmp_path).returncode == 1


@pytest.mark.parametrize("room", PRESENT)
def test_a_room_says_what_belongs_there(room: str) -> None:
    text = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8"))) or ""
    first = text.splitlines()[0] if text else ""
    assert len(first) > 20
    assert first[0].isupper() or first[0] == "`"


@pytest.mark.parametrize("path", [*imports.sources()], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_what_it_is_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    assert ast.get_docstring(ast.parse(text)) or path.name in {"__init__.py", "__main__.py"}


def test_the_streams_room_lists_its_files() -> None:
    for room in ("streams", "sinks"):
        text = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8"))) or ""
        listed = set(re.findall(r"^(\w+\.py) ", text, re.MULTILINE))
        missing = {"batch.py", "window.py", "engine.py"} if room == "streams" else {"plan.py", "writer.py"}
        assert missing <= listed
        assert all((ROOT / room / name).exists() for name in listed), "a listed file is gone"


# -- the test of the test


PLANTED = {
    "core/a.py": "from schemas import registry",
    "schemas/a.py": "import sinks.plan",
    "schemas/b.py": "from starlette.routing import Route",
    "schemas/external.py": "import starlette",
    "collector/a.py": "def f():\n    from streams.window import DedupeWindow",
    "collector/b.py": "import faust",
    "collector/c.py": "from clickhouse_connect import get_client",
    "streams/a.py": "from starlette.responses import Response",
    "streams/b.py": "from infra import topics",
    "sinks/a.py": "import importlib\nimportlib.import_module('streams.batch')",
    "sinks/b.py": "from replay import plan",
    "infra/a.py": "import schemas.registry",
    "replay/a.py": "from analytics import api",
    "analytics/a.py": "import cli.main",
    "cli/a.py": "from tests.structure import imports",
}
HARMLESS = {
    "core/ok.py": "import json\nimport schemas_of_others",
    "schemas/ok.py": "from core import ids",
    "schemas/registry_api.py": "from starlette.routing import Route",
    "streams/ok.py": "import faust\nfrom schemas.contracts import Contracts\nfrom streams import window",
    "replay/ok.py": "from streams.batch import process\nimport sinks.plan",
    "cli/ok.py": "from infra import topics\nimport replay.ok, core.ids",
    "infra/ok.py": "import core.kafka, chdb\nfrom . import a",
}


def plant(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_caught(name: str, tmp_path: Path) -> None:
    plant(tmp_path, HARMLESS | {name: PLANTED[name]})
    (found,) = imports.broken(tmp_path)
    assert found.startswith(name.removesuffix(".py").replace("/", "."))


def test_lawful_imports_are_let_through(tmp_path: Path) -> None:
    plant(tmp_path, HARMLESS)
    assert imports.broken(tmp_path) == []


def test_a_broker_behind_another_module_is_found(tmp_path: Path) -> None:
    files = {
        "streams/__init__.py": "",
        "streams/batch.py": "from core.deep import thing",
        "core/__init__.py": "",
        "core/deep.py": "def f():\n    from core import deeper",
        "core/deeper.py": "import confluent_kafka.admin",
    }
    plant(tmp_path, files)
    reached = imports.reached(["streams.batch"], tmp_path)
    assert [str(i) for found in reached.values() for i in found if i.top in NOT_PURE] == [
        "core.deeper:1 imports confluent_kafka.admin"
    ]
