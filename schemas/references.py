"""Named types of other files (`references`): a schema that uses them becomes one that stands alone.

The rule of the names is Avro 1.12, section "Names": a type without a dot lives in the enclosing namespace.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.errors import ConfigError

_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_NAMED = frozenset({"record", "error", "enum", "fixed"})

Lookup = Callable[[str, int], dict[str, Any]]


def full_name(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"


def inline(source: dict[str, Any], lookup: Lookup) -> dict[str, Any]:
    """`source` with each referenced type written out where it is first used, by its full name from then on.

    `lookup(subject, version)` gives the self-contained JSON of a referenced schema.

    Raises:
        ConfigError: a type is neither defined in the file nor among its references, or a reference names another type.
    """
    available: dict[str, dict[str, Any]] = {}
    for reference in source.get("references", ()):
        found = lookup(reference["subject"], reference["version"])
        name = full_name(found["name"], found.get("namespace", ""))
        if name != reference["name"]:
            raise ConfigError(f"{reference['subject']}:{reference['version']} is {name}, not {reference['name']}")
        available[name] = found
    inlined: dict[str, Any] = _Inliner(available).type(source, "")
    return inlined


class _Inliner:
    def __init__(self, available: dict[str, dict[str, Any]]) -> None:
        self._available = available
        self._defined: set[str] = set()

    def type(self, node: Any, namespace: str) -> Any:
        if isinstance(node, list):
            return [self.type(branch, namespace) for branch in node]
        if isinstance(node, dict):
            return self._complex(node, namespace)
        return self._name(node, namespace)

    def _name(self, name: Any, namespace: str) -> Any:
        if name in _PRIMITIVES:
            return name
        full = full_name(str(name), namespace)
        if full in self._defined:
            return full
        if full not in self._available:
            raise ConfigError(
                f"type {full} is not known here",
                hint="Define it in the file, or name it in `references` with its subject and version.",
            )
        return self.type(self._available[full], "")

    def _complex(self, node: dict[str, Any], namespace: str) -> Any:
        kind = node["type"]
        if kind in _NAMED:
            full = full_name(node["name"], node.get("namespace", namespace))
            if full in self._defined:  # two references may both bring it
                return full
            self._defined.add(full)
            namespace = full.rpartition(".")[0]
        out = dict(node)
        if kind == "record":
            out["namespace"] = namespace
            out["fields"] = [{**field, "type": self.type(field["type"], namespace)} for field in node["fields"]]
        elif kind == "array":
            out["items"] = self.type(node["items"], namespace)
        elif kind == "map":
            out["values"] = self.type(node["values"], namespace)
        elif kind not in _NAMED and kind not in _PRIMITIVES:
            out["type"] = self.type(kind, namespace)
        return out
