"""A released version as it travels to processes that run: one entry of the control topic.

The key names the version, the value is JSON: the id it was released with and the schema file's content. A process
takes it in addition to the files it started with, so a release needs no restart and no file on each host.
"""

from __future__ import annotations

from typing import Any

import msgspec

from core.errors import InputError

KEY_PREFIX = "schema/"


class Released(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`source` is the JSON of the schema file, lifecycle included."""

    subject: str
    version: int
    id: int
    source: dict[str, Any]

    @property
    def label(self) -> str:
        return f"{self.subject}:{self.version}"

    @property
    def key(self) -> str:
        return f"{KEY_PREFIX}{self.subject}/{self.version}"


def encode(released: Released) -> bytes:
    return msgspec.json.encode(released)


def decode(value: bytes) -> Released:
    """Raises InputError if `value` is not the JSON of a Released."""
    try:
        return msgspec.json.decode(value, type=Released)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"not a released schema: {error}") from error
