"""On which line of a schema file a path stands: `$.items[].price` → 12.

JSON parsers drop positions, so this reads the text once more, keeping the offset of every object.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from json import JSONDecoder
from typing import Any

_BLANK = re.compile(r"[ \t\n\r]*")
_VALUE = JSONDecoder()


@dataclass(frozen=True, slots=True)
class _Object:
    offset: int
    members: dict[str, Any]


class Places:
    """Lines of the fields in `text`, the JSON of a schema."""

    def __init__(self, text: str) -> None:
        root, _ = _read(text, 0)
        self._lines = {path: text.count("\n", 0, offset) + 1 for path, offset in _walk(root, "$")}

    def line(self, path: str) -> int:
        """Line (from 1) of the field; of one that a referenced file declares, that of the field that refers to it."""
        while path not in self._lines and len(path) > 1:
            path = path[: max(path.rfind("."), path.rfind("["), path.rfind("{"), 1)]
        return self._lines.get(path, 1)


def _walk(node: Any, path: str) -> Iterator[tuple[str, int]]:
    """(path, offset) of all fields in a type."""
    if isinstance(node, list):
        for branch in node:
            yield from _walk(branch, path)
    elif isinstance(node, _Object):
        yield from _walk(node.members.get("type"), path)
        yield from _walk(node.members.get("items"), f"{path}[]")
        yield from _walk(node.members.get("values"), f"{path}{{}}")
        for field in node.members.get("fields", ()):
            at = f"{path}.{field.members['name']}"
            yield at, field.offset
            yield from _walk(field.members["type"], at)


def _read(text: str, at: int) -> tuple[Any, int]:
    """The JSON value at `at`, and where it ends. The text is JSON already: whoever needs errors has read it before."""
    at = _skip(text, at)
    if text[at] == "{":
        return _read_object(text, at)
    if text[at] == "[":
        return _read_list(text, at)
    return _VALUE.raw_decode(text, at)


def _read_object(text: str, start: int) -> tuple[_Object, int]:
    members: dict[str, Any] = {}
    at = _skip(text, start + 1)
    while text[at] != "}":
        name, at = _VALUE.raw_decode(text, at)
        members[name], at = _read(text, _skip(text, at) + 1)
        at = _next(text, at)
    return _Object(start, members), at + 1


def _read_list(text: str, start: int) -> tuple[list[Any], int]:
    items = []
    at = _skip(text, start + 1)
    while text[at] != "]":
        item, at = _read(text, at)
        items.append(item)
        at = _next(text, at)
    return items, at + 1


def _next(text: str, at: int) -> int:
    """Past the comma, if there is one."""
    at = _skip(text, at)
    return _skip(text, at + 1) if text[at] == "," else at


def _skip(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at
