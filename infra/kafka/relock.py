"""`python -m infra.kafka.relock`: resolve Kafka's dependencies anew, write jars.lock. For maintainers, on an upgrade.

Decides the set: the broker and its StorageTool (both in kafka_2.13) and a binding that lets the broker log. The
admin tools, Connect and Streams that a Kafka distribution carries besides are left out.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from infra.kafka import lockfile, repository
from infra.kafka.jars import KAFKA_VERSION

# Kafka logs through slf4j 1.7 and brings log4j-core but no binding. The binding has log4j's version, see the
# resolved list. `!` keeps its parent's dependency management out: that would silently move jackson and zstd to
# versions that Kafka was not built with.
ROOTS = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4!"


def resolve(work: Path) -> tuple[lockfile.Jar, ...]:
    """All jars of the runtime class path of `ROOTS`, downloaded below `work` and hashed."""
    from jgo.parse import Endpoint

    maven = repository.context(work)
    wanted = [
        maven.create_dependency(replace(coordinate, scope="compile"))
        for coordinate in Endpoint.parse("+".join(ROOTS)).coordinates
    ]
    roots, others = maven.resolver.resolve(wanted)
    jars = []
    for found in [*roots, *(dep for dep in others if dep.scope in {"compile", "runtime"})]:
        content = Path(found.artifact.resolve()).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        jars.append(lockfile.Jar(found.groupId, found.artifactId, found.version, digest, len(content)))
    return tuple(sorted(jars))


def main() -> None:
    with tempfile.TemporaryDirectory() as work:
        jars = resolve(Path(work))
    target = Path(__file__).with_name("jars.lock")
    target.write_text(lockfile.render(jars), encoding="utf-8")
    sys.stdout.write(f"{len(jars)} jars, {sum(j.size for j in jars) / 1e6:.0f} MB: {target}\n")


if __name__ == "__main__":
    main()
