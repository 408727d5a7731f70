"""jars.lock: which files make up the embedded Kafka, byte for byte.

Written by `python -m infra.kafka.relock`, read at every start. Because each line names its coordinates, a start
downloads exactly these files and resolves nothing. Knows neither the network nor the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

_HEADER = """\
# The jars of the embedded Kafka: sha256, size in bytes, group:artifact:version.
# Made by `python -m infra.kafka.relock`; do not edit.
"""


@dataclass(frozen=True, slots=True, order=True)
class Jar:
    """One file. `sha256` is in hexadecimal."""

    group: str
    artifact: str
    version: str
    sha256: str
    size: int

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def load() -> tuple[Jar, ...]:
    """The jars of the committed jars.lock, in class path order."""
    return parse(resources.files("infra.kafka").joinpath("jars.lock").read_text(encoding="utf-8"))


def parse(text: str) -> tuple[Jar, ...]:
    jars = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            sha256, size, coordinates = line.split()
            group, artifact, version = coordinates.split(":")
            jars.append(Jar(group, artifact, version, sha256, int(size)))
    return tuple(jars)


def render(jars: tuple[Jar, ...]) -> str:
    return _HEADER + "".join(f"{j.sha256} {j.size:>9} {j.group}:{j.artifact}:{j.version}\n" for j in sorted(jars))
