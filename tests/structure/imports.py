"""The import law, and how a file's imports are read. `test_import_law` holds the house to it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Lower never imports higher, and rooms in one bracket do not import each other.
LEVELS = (
    {"core"},
    {"schemas"},
    {"collector", "streams", "sinks"},
    {"replay", "analytics"},
    {"cli"},
)
# Starts the engines: beside the flow, on top of `core` alone.
INFRA = "infra"
ROOMS = frozenset({INFRA}.union(*LEVELS))

# What a room may import of ours.
ALLOWED = {room: set().union({room}, *LEVELS[:level]) for level, rooms in enumerate(LEVELS) for room in rooms}
ALLOWED["cli"].add(INFRA)
ALLOWED[INFRA] = {INFRA, "core"}

# Libraries that a room does without.
_CLICKHOUSE_CLIENTS = {"chdb", "clickhouse_connect", "clickhouse_driver", "asynch", "aiochclient"}
_STREAMING = {"faust", "mode", "aiokafka"}
BANNED: dict[str, set[str]] = {
    "core": {"starlette", "uvicorn", "fastavro", "chdb", "clickhouse_connect", *_STREAMING},
    "schemas": {"starlette", "uvicorn", "confluent_kafka", "urllib3", *_CLICKHOUSE_CLIENTS, *_STREAMING},
    "collector": {*_CLICKHOUSE_CLIENTS, *_STREAMING},
    "streams": {"starlette", "uvicorn", *_CLICKHOUSE_CLIENTS},
    "sinks": {"starlette", "uvicorn", *_STREAMING},
}
# The one module of a room that may use what the room does without.
EXCEPT = {"schemas.registry_api": {"starlette"}, "schemas.external": {"urllib3"}}
# What replay runs again, with no broker at hand: neither directly nor through another module of ours.
PURE = ("streams.batch", "streams.window", "streams.records", "streams.limits", "streams.pause", "streams.enrich.chain")
NOT_PURE = {"confluent_kafka", "socket", "urllib3", "starlette", *_STREAMING}


@dataclass(frozen=True, slots=True)
class Import:
    """`module` imports `target`, a dotted name, at `line`."""

    module: str
    target: str
    line: int

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"

    @property
    def top(self) -> str:
        return self.target.partition(".")[0]


def module_name(path: Path, root: Path = ROOT) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def sources(root: Path = ROOT) -> Iterator[Path]:
    for room in sorted(ROOMS):
        yield from sorted((root / room).rglob("*.py"))


def imports_of(path: Path, root: Path = ROOT) -> Iterator[Import]:
    """Every import of a file, at its top or inside a function, by statement or by `import_module("…")`."""
    module = module_name(path, root)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from (Import(module, alias.name, node.lineno) for alias in names)
            case ast.ImportFrom(module=source, names=names, level=level):
                base = ".".join(package.split(".")[: len(package.split(".")) + 1 - level]) if level else ""
                origin = ".".join(filter(None, (base, source)))
                # `from a import b` may name the module a.b.
                yield from (Import(module, f"{origin}.{alias.name}", node.lineno) for alias in names)
            case ast.Call(func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__")):
                if node.args and isinstance(node.args[0], ast.Constant):
                    yield Import(module, str(node.args[0].value), node.lineno)


def broken(root: Path = ROOT) -> list[str]:
    """Every import that breaks the law, in words."""
    found = []
    for path in sources(root):
        module = module_name(path, root)
        room = module.partition(".")[0]
        banned = BANNED.get(room, set()) - EXCEPT.get(module, set())
        for each in imports_of(path, root):
            outside = each.top in ROOMS and each.top not in ALLOWED[room]
            if outside or each.top in banned or each.top in {"tests", "bench"}:
                found.append(str(each))
    return found


def reached(starts: Iterable[str], root: Path = ROOT) -> dict[str, list[Import]]:
    """Modules of ours that `starts` import, themselves and through others, each with its imports."""
    paths = {module_name(path, root): path for path in sources(root)}
    seen: dict[str, list[Import]] = {}
    todo = list(starts)
    while todo:
        name = todo.pop()
        if name in seen or name not in paths:
            continue
        seen[name] = list(imports_of(paths[name], root))
        todo.append(name.rpartition(".")[0])  # importing a.b runs a
        for each in seen[name]:
            todo += [each.target, each.target.rpartition(".")[0]]
    return seen
