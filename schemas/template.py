"""The beginning of a contract: of a new event or context, or of the next version of one."""

from __future__ import annotations

from typing import Any, Literal

from schemas.lock import LIFECYCLE
from schemas.release import PLACEHOLDER, with_lifecycle

_CONTEXT_SUFFIX = "_context"


def first_version(subject: str, kind: Literal["event", "context"]) -> dict[str, Any]:
    """A draft with one field of each sort that most events need. Texts say what belongs in their place."""
    is_event = kind == "event"
    head = {
        "type": "record",
        "name": type_name(subject, kind),
        "namespace": f"sluice.{kind}s",
        "kind": kind,
        "status": "draft",
        "doc": f"{PLACEHOLDER}: what happened, in one sentence." if is_event else f"{PLACEHOLDER}: what it describes.",
        "owner": f"{PLACEHOLDER}: the team that answers questions about it",
    }
    if is_event:
        head["fires"] = f"{PLACEHOLDER}: the moment it is sent, and when it is not sent."
    return head | {
        "purpose": f"{PLACEHOLDER}: the question that it answers.",
        "metrics": [],
        "unknown": "keep",
        "fields": _FIELDS,
        "examples": [{"item_id": "i-1", "method": "manual", "item_count": 3}],
    }


_FIELDS = [
    {
        "name": "item_id",
        "type": ["null", "string"],
        "default": None,
        "maxLength": 128,
        "pii": "pseudonymous",
        "examples": ["i-1001", "i-1002"],
        "doc": f"{PLACEHOLDER}: a text of bounded length. pii is none, pseudonymous, personal or sensitive.",
    },
    {
        "name": "method",
        "type": ["null", "string"],
        "default": None,
        "allowed": ["manual", "automatic", "other"],
        "pii": "none",
        "doc": f"{PLACEHOLDER}: one of a few values; more may be added by a later version, none taken away.",
    },
    {
        "name": "item_count",
        "type": ["null", "int"],
        "default": None,
        "unit": "pieces",
        "minimum": 0,
        "pii": "none",
        "examples": [1, 3],
        "doc": f"{PLACEHOLDER}: a number with its unit and bounds.",
    },
]


def next_version(source: dict[str, Any]) -> dict[str, Any]:
    """A draft that says what the newest version says."""
    return with_lifecycle(source, dict.fromkeys(LIFECYCLE) | {"status": "draft"})


def type_name(subject: str, kind: Literal["event", "context"]) -> str:
    """`page_view` → PageView, `page_context` → Page."""
    stem = subject.removesuffix(_CONTEXT_SUFFIX) if kind == "context" else subject
    return "".join(part[:1].upper() + part[1:] for part in stem.split("_"))
