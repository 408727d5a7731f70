"""Quotes values and names into ClickHouse SQL. No text of a client reaches a statement of ours unquoted."""

from __future__ import annotations

from collections.abc import Mapping


def literal(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def identifier(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def assignments(values: Mapping[str, str]) -> str:
    """`SET` as one statement. Names must already be known to be plain words."""
    return "SET " + ", ".join(f"{name} = {literal(value)}" for name, value in values.items())
