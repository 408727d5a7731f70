"""What is wrong with an event, in a form that people, dead letters and fingerprints share.

msgspec stops at the first fault and tells it in a sentence; `from_decode_error` takes the sentence apart.
`codegen.explain` finds all faults. A fault is stored and shown where the value must not be: it holds the type of what
was there, and the value only where the contract says of the field that it is nothing personal.

Codes: not_json, not_utf8, too_deep, too_large, wrong_type, out_of_bounds, not_allowed, missing_field, unknown_field.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import msgspec

_TYPE = re.compile(r"^Expected `(?P<expected>[^`]+)`(?: (?P<bound>[<>=]+ .+?))?, got `(?P<got>[^`]+)`")
_BOUND = re.compile(r"^Expected (?P<expected>`[^`]+` (?:of (?:length|scale) )?[<>=]+ \S+)")
_MISSING = re.compile(r"^Object missing required field `(?P<field>[^`]+)`")
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<field>[^`]+)`")
_ENUM = re.compile(r"^Invalid enum value")
_RANGE = re.compile(r"^(?:Number|Integer value) out of range")  # JSON allows 1e999, no number type holds it
# Text that is not of the form a type asks for.
_FORMS = (
    (re.compile(r"^Invalid RFC3339 encoded datetime|^Expected `datetime` with a timezone"), "timestamp with a zone"),
    (re.compile(r"^Invalid RFC3339 encoded date\b"), "date"),
    (re.compile(r"^Invalid base64"), "base64"),
    (re.compile(r"^Expected `str` matching regex"), "UUID"),
)
_BRACKETS = re.compile(r"\[[^\]]*\]")
_PATH = re.compile(r" - at `(?P<path>\$[^`]*)`$")
# Long enough to tell causes apart in a table of millions, short enough to be read out.
_FINGERPRINT_BYTES = 8


@dataclass(frozen=True, slots=True)
class Fault:
    """`path` is a JSON path; a key that a client chose is in brackets there, as indexes are. `expected` and `got` are
    words.
    """

    code: str
    path: str
    expected: str
    got: str

    def __str__(self) -> str:
        got = f", got {self.got}" if self.got else ""
        return f"{self.path}: expected {self.expected}{got}"


class FaultError(msgspec.ValidationError):
    """What a compiled contract raises beside msgspec's own errors, where msgspec has no words for a fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


def from_decode_error(error: Exception, *, root: str = "$") -> Fault:  # noqa: C901, PLR0911 (one return a form of message)
    """The fault that msgspec found, its path under `root`."""
    if isinstance(error, FaultError):
        fault = error.fault
        return Fault(fault.code, root + fault.path[1:], fault.expected, fault.got)
    if isinstance(error, RecursionError):
        return Fault("too_deep", root, "less nesting", "")
    if isinstance(error, UnicodeDecodeError):
        return Fault("not_utf8", root, "UTF-8", "")
    text = str(error)
    at = _PATH.search(text)
    path = root + at["path"][1:] if at else root
    if match := _MISSING.match(text):
        return Fault("missing_field", f"{path}.{match['field']}", "a value", "nothing")
    if match := _UNKNOWN.match(text):
        return Fault("unknown_field", path, "only declared fields", match["field"])
    if _ENUM.match(text):
        return Fault("not_allowed", path, "one of the allowed values", "another")
    if _RANGE.match(text):
        return Fault("out_of_bounds", path, "a number in range", "")
    if match := _BOUND.match(text):
        return Fault("out_of_bounds", path, match["expected"].replace("`", ""), "")
    if match := _TYPE.match(text):
        return Fault("wrong_type", path, match["expected"], match["got"])
    for form, expected in _FORMS:
        if form.match(text):
            return Fault("wrong_type", path, expected, "str")
    return Fault("not_json", path, "JSON", "")


def fingerprint(event: str, version: int, faults: list[Fault]) -> str:
    """Same cause, same fingerprint: hexadecimal hash of the contract and the faults.

    What varies between events of one cause is left out: values, indexes, keys that clients chose, how often a fault
    occurs.
    """
    causes = {f"{fault.code}\t{_BRACKETS.sub('[]', fault.path)}\t{fault.expected}" for fault in faults}
    cause = "\n".join([f"{event}:{version}", *sorted(causes)])
    return hashlib.blake2b(cause.encode(), digest_size=_FINGERPRINT_BYTES).hexdigest()
