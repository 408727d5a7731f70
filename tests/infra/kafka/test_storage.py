from __future__ import annotations

import sys
from pathlib import Path

import pytest

from core.errors import StateError
from infra.kafka import storage

FORMAT = """
import os, sys
folder, cluster = sys.argv[1:]
os.mkdir(folder)
open(folder + "/bootstrap.checkpoint", "w").close()
if os.path.exists(os.path.dirname(folder) + "/die"): os.kill(os.getpid(), 9)
open(folder + "/meta.properties", "w").write(f"#\\n#comment\\nnode.id=1\\ncluster.id={cluster}\\n")
"""


def command(folder: Path, cluster_id: str) -> tuple[str, ...]:
    return (sys.executable, "-c", FORMAT, str(folder), cluster_id)


def never(_folder: Path, _cluster_id: str) -> tuple[str, ...]:
    raise AssertionError("formatted twice")


def test_it_is_formatted_once(tmp_path: Path) -> None:
    first = storage.ensure_formatted(tmp_path / "data", command=command, env={})
    assert len(first) == 22
    assert storage.ensure_formatted(tmp_path / "data", command=never, env={}) == first


def test_a_format_that_was_killed_is_done_again(tmp_path: Path) -> None:
    (tmp_path / "die").touch()
    with pytest.raises(StateError, match="could not be formatted"):
        storage.ensure_formatted(tmp_path / "data", command=command, env={})
    assert not (tmp_path / "data").exists()
    assert (tmp_path / "data.formatting").exists()
    (tmp_path / "die").unlink()
    storage.ensure_formatted(tmp_path / "data", command=command, env={})
    assert not (tmp_path / "data.formatting").exists()


def test_what_the_formatter_said_is_passed_on(tmp_path: Path) -> None:
    argv = (sys.executable, "-c", "import sys; print('about to'); sys.exit('disk on fire')")
    with pytest.raises(StateError, match="exit code 1") as caught:
        storage.ensure_formatted(tmp_path / "data", command=lambda *_: argv, env={})
    assert caught.value.hint == "about to\ndisk on fire"


@pytest.mark.parametrize("content", [None, "", "node.id=1\n"])
def test_a_folder_that_kafka_did_not_make_is_left_alone(tmp_path: Path, content: str | None) -> None:
    data = tmp_path / "data"
    data.mkdir()
    if content is not None:
        (data / "meta.properties").write_text(content)
    with pytest.raises(StateError):
        storage.ensure_formatted(data, command=never, env={})
    assert data.exists()
