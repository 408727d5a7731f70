"""How to send an event: one request for a shell, Python and JavaScript. Its form is that of docs/http.md."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

PATH = "/api/v1/tracking/collect/"
# Event types with a contract of their own; every other contract is that of a custom event with its name.
OWN_TYPES = ("page_view", "identity")
# The contract of custom events that have none of their own, so its example needs another name.
OPEN_SUBJECT = "custom_event"
_OPEN_NAME = "newsletter_opened"


@dataclass(frozen=True, slots=True)
class Snippets:
    curl: str
    python: str
    javascript: str


def event(subject: str, version: int, properties: Any) -> dict[str, Any]:
    """The event as a client sends it, but for its id."""
    if subject in OWN_TYPES:
        named = {"event_type": subject}
    else:
        named = {"event_type": "custom_event", "name": _OPEN_NAME if subject == OPEN_SUBJECT else subject}
    return {
        **named,
        "version": version,
        "visitor_id": "visitor-1",
        "session_id": "session-1",
        "consent_state": "granted",
        "properties": properties,
    }


def snippets(subject: str, version: int, properties: Any) -> Snippets:
    body = event(subject, version, properties)
    return Snippets(_curl(body), _python(body), _javascript(body))


def _curl(body: dict[str, Any]) -> str:
    # Quoted so that the shell reads nothing in it; no line of JSON can be the end mark.
    return f"""curl "$COLLECTOR{PATH}" \\
  -H "Authorization: Bearer $KEY" \\
  --data-binary @- <<'EOF'
{json.dumps(body, indent=2, ensure_ascii=False)}
EOF"""


def _python(body: dict[str, Any]) -> str:
    return f"""import json
import os
import urllib.request
import uuid

event = {_literal(body)}
# Keep the id when you send it again: repeats are recognised by it.
event["event_id"] = str(uuid.uuid4())
request = urllib.request.Request(
    os.environ["COLLECTOR"] + "{PATH}",
    data=json.dumps(event).encode(),
    headers={{"Authorization": "Bearer " + os.environ["KEY"]}},
)
with urllib.request.urlopen(request) as answer:
    print(json.load(answer))"""


def _javascript(body: dict[str, Any]) -> str:
    return f"""const event = {json.dumps(body, indent=2, ensure_ascii=False)};
// Keep the id when you send it again: repeats are recognised by it.
event.event_id = crypto.randomUUID();
const answer = await fetch(COLLECTOR + "{PATH}", {{
  method: "POST",
  headers: {{ Authorization: `Bearer ${{KEY}}` }},
  body: JSON.stringify(event),
}});
console.log(await answer.json());"""


def _literal(value: Any, indent: str = "") -> str:
    """A JSON value as Python writes it."""
    inner = indent + "    "
    match value:
        case dict() if value:
            lines = [f"{inner}{json.dumps(key, ensure_ascii=False)}: {_literal(v, inner)}," for key, v in value.items()]
            return "{\n" + "\n".join(lines) + f"\n{indent}}}"
        case list() if value:
            lines = [f"{inner}{_literal(each, inner)}," for each in value]
            return "[\n" + "\n".join(lines) + f"\n{indent}]"
        case str():
            return json.dumps(value, ensure_ascii=False)
    return repr(value)
