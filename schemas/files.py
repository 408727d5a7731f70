"""Schema files as text: read with errors that name file and line, written in one form.

Knows JSON and where a field stands in it. What the JSON means is `registry`'s.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NoReturn

from core.errors import ConfigError

# Values of these keys are lists that read best with one element a line.
_LONG_LISTS = ("fields", "examples")


def read(path: Path) -> dict[str, Any]:
    """The JSON object in `path`.

    Raises:
        ConfigError: unreadable, or not the JSON of an object. Names file and line.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}") from error
    try:
        source = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}:{error.lineno}: not JSON: {error.msg} (column {error.colno})") from error
    except _DuplicateKeyError as error:
        raise ConfigError(f"{path}:{_line_of_second(text, error.key)}: key {error.key!r} is there twice") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not JSON: {error}") from error
    if not isinstance(source, dict):
        raise ConfigError(f"{path}:1: not an Avro record: expected a JSON object")
    return source


def dump(source: dict[str, Any]) -> str:
    """The text of a new schema file: one line an attribute, one line a field."""
    lines = []
    for key, value in source.items():
        if key in _LONG_LISTS and isinstance(value, list) and value:
            inner = ",\n".join(f"    {_compact(item)}" for item in value)
            lines.append(f"  {_compact(key)}: [\n{inner}\n  ]")
        else:
            lines.append(f"  {_compact(key)}: {_compact(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def line_of(text: str, name: str) -> int:
    """Line (from 1) on which the field or type `name` is declared in the text of a schema file; 1 if nowhere."""
    declared = re.search(r'"name"\s*:\s*' + re.escape(json.dumps(name, ensure_ascii=False)), text)
    return text.count("\n", 0, declared.start()) + 1 if declared else 1


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


class _DuplicateKeyError(ValueError):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in pairs:
        if key in out:
            raise _DuplicateKeyError(key)
        out[key] = value
    return out


def _line_of_second(text: str, key: str) -> int:
    """Line of the second `key` in a text. Where objects repeat keys rightfully, the line is only near the place."""
    places = [match.start() for match in re.finditer(re.escape(_compact(key)) + r"\s*:", text)]
    return text.count("\n", 0, places[1]) + 1 if len(places) > 1 else 1


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")
