"""Runs the commands that a page shows, in their order, in one shell and an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.structure.imports import ROOT

_FENCE = re.compile(r"^```(?P<kind>console|json) ?(?P<file>\S*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_DAY = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")
_END = "-- end of output --"


class Step(NamedTuple):
    """A command and the output that the page shows, or a file and its content."""

    file: str
    command: str
    text: str


def steps(page: str) -> Iterator[Step]:
    for fence in _FENCE.finditer(page):
        if fence["kind"] == "json" and fence["file"]:
            yield Step(fence["file"], "", fence["body"])
        elif fence["kind"] == "console":
            for shown in re.split(r"^\$ ", fence["body"], flags=re.MULTILINE)[1:]:
                command, _, output = shown.partition("\n")
                yield Step("", command, output)


def outputs(walk: list[Step], folder: Path) -> list[str]:
    """What each command prints, standard error included; "" for files."""
    script = [f'sluice() {{ "{sys.executable}" -m cli "$@"; }}', "exec 2>&1"]
    for step in walk:
        if step.file:
            script.append(f"cat > {step.file} <<'END_OF_FILE'\n{step.text}END_OF_FILE")
        else:
            script.append(step.command)
        script.append(f"printf '%s\\n' '{_END}'")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.split(f"{_END}\n")[:-1]


def without_days(text: str) -> str:
    return _DAY.sub("0000-00-00", text)


def rewritten(page: str, folder: Path) -> str:
    """The page with what its commands print now."""
    walk = list(steps(page))
    printed = iter([output for step, output in zip(walk, outputs(walk, folder), strict=True) if not step.file])

    def fence(found: re.Match[str]) -> str:
        if found["kind"] != "console":
            return found[0]
        body = "".join(f"$ {step.command}\n{next(printed)}" for step in steps(found[0]))
        return f"```console\n{body}```"

    return _FENCE.sub(fence, page)


if __name__ == "__main__":
    # `python -m tests.schemas_cli.walk PAGE` puts into the page what its commands print now.
    with tempfile.TemporaryDirectory() as empty:
        document = Path(sys.argv[1])
        document.write_text(rewritten(document.read_text(encoding="utf-8"), Path(empty)), encoding="utf-8")
