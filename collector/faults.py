"""What is wrong with JSON that a client sent, as a code, a field and a sentence.

The JSON library has one exception class for many faults and says which in prose that quotes the client. Here that
prose becomes codes; nothing quoted survives but the name of an unknown field, cut short.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

import msgspec

Code = Literal[
    "invalid_json",  # not JSON, not UTF-8
    "too_deep",  # nested deeper than any reader should follow
    "too_large",
    "too_many_properties",
    "missing_field",
    "unknown_field",
    "invalid_field",
    "bad_timestamp",
    "unauthorized",
    "tenant_mismatch",
    "origin_not_allowed",  # a browser key on another page
    "browser_key_required",  # a secret key in a beacon
]

# The library reports these three outside its own tree: nesting and encoding are faults like any other.
JSON_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_MAX_NAME = 100
_FIELD_NAME = re.compile(r"`(.*)`", re.DOTALL)


class Fault(NamedTuple):
    """`field` is a JSON path such as `$.occurred_at`, None when the text as a whole is at fault."""

    code: Code
    field: str | None
    message: str


class FaultError(Exception):
    """Carries a fault to whoever answers for it: the request as a whole or one verdict."""

    def __init__(self, code: Code, field: str | None, message: str) -> None:
        super().__init__(message)
        self.fault = Fault(code, field, message)


def explain(error: Exception) -> Fault:
    """The fault behind one of `JSON_ERRORS`."""
    if isinstance(error, msgspec.ValidationError):
        return _invalid(str(error))
    if isinstance(error, RecursionError):
        return Fault("too_deep", None, "nested too deeply")
    if isinstance(error, UnicodeDecodeError):
        return Fault("invalid_json", None, "not valid UTF-8")
    return Fault("invalid_json", None, str(error))


def _invalid(text: str) -> Fault:
    # Order matters: only the first two quote the client, who may have written any of the words looked for below.
    if text.startswith("Object contains unknown field"):
        return Fault("unknown_field", f"$.{_name(text)}", "this field is not part of the contract")
    what, _, path = text.rpartition(" - at `")
    what, field = (what, path.rstrip("`")) if what else (text, None)
    if what.startswith("Invalid enum value"):
        return Fault("invalid_field", field, "not one of the allowed values")
    if what.startswith("Object missing required field"):
        return Fault("missing_field", f"{field or '$'}.{_name(what)}", "this field is required")
    if "RFC3339" in what or "datetime" in what:
        return Fault("bad_timestamp", field, "must be an RFC 3339 time with an offset, such as 2026-01-31T12:00:00Z")
    return Fault("invalid_field", field, what)


def _name(text: str) -> str:
    match = _FIELD_NAME.search(text)
    return match.group(1)[:_MAX_NAME] if match else ""
