"""Text of schemas as HTML. What comes from a schema is escaped, here or by the templates, and nowhere marked safe."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any
from urllib.parse import quote

from markupsafe import Markup, escape

_TOKEN = re.compile(
    r'(?P<key>"(?:\\.|[^"\\])*")(?=\s*:)'
    r'|(?P<string>"(?:\\.|[^"\\])*")'
    r"|(?P<word>\b(?:true|false|null)\b)"
    r"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
)
# Characters that HTML cannot hold, and halves of pairs, which UTF-8 cannot.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_UNSAFE_IN_ID = re.compile(r"[^A-Za-z0-9_.]+")


def prose(text: str) -> Markup:
    """A sentence in which backticks mark names."""
    parts = str(text).split("`")
    if len(parts) % 2 == 0:  # one is left over: none of them is a mark
        return escape(text)
    return Markup().join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))


def pretty(value: Any) -> Markup:
    """A JSON value, indented, its tokens in spans."""
    text, done, out = json.dumps(value, indent=2, ensure_ascii=False), 0, []
    for token in _TOKEN.finditer(text):
        out.append(escape(text[done : token.start()]))
        out.append(Markup('<span class="{}">{}</span>').format(f"t-{token.lastgroup}", token.group()))
        done = token.end()
    return Markup().join([*out, escape(text[done:])])


def short(value: Any) -> str:
    """A JSON value in a line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def anchor(prefix: str, name: str) -> str:
    """An id for an element, the same for the same name and another for another one."""
    plain = name.replace("[]", "").replace("{}", "")
    clean = _UNSAFE_IN_ID.sub("-", plain)
    if clean == plain:
        return f"{prefix}-{clean}"
    return f"{prefix}-{clean}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:6]}"


def segment(name: str) -> str:
    """A file name as part of a relative link."""
    return quote(name, safe="", errors="replace")


def printable(page: str) -> str:
    return _UNPRINTABLE.sub("\ufffd", page)
