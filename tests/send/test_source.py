"""From files and options to events whose bytes are the user's and whose ids are known."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.send.source import MAX_EVENTS, Outgoing, composed, read
from core.errors import InputError
from core.ids import SeededIds

_VALUES = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8)
_OBJECTS = st.dictionaries(st.text(max_size=8), _VALUES, max_size=4)


def _read(content: str | bytes) -> list[Outgoing]:
    data = content if isinstance(content, bytes) else content.encode()
    return read(data, name="events.json", ids=SeededIds(1))


@given(_OBJECTS)
def test_an_event_keeps_what_it_says_and_has_an_id(event: dict[str, Any]) -> None:
    [found] = _read(json.dumps(event))
    sent = json.loads(found.body)
    if event.get("event_id") is None:
        assert sent == event | {"event_id": found.event_id}
        assert len(found.event_id) == 36
    else:
        assert found.body == json.dumps(event).encode()
        assert found.event_id == (event["event_id"] if isinstance(event["event_id"], str) else "")


@given(st.lists(_OBJECTS, min_size=1, max_size=4))
def test_an_array_and_json_lines_are_the_same_events(events: list[dict[str, Any]]) -> None:
    lines = "\r\n\n".join(map(json.dumps, events)) + "\n"
    assert _read(json.dumps(events)) == _read(lines) == _read("\ufeff" + lines)


def test_bytes_stay_what_they_are() -> None:
    text = b'{"event_id" : "a","big":1e999,"twice":1,"twice":2,"nested":"\\ud83d\\ude00"}'
    assert _read(b"[" + text + b"]")[0].body == text


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ('{"event_type":"page_view"}', "page_view"),
        ('{"event_type":"custom_event","name":"signup"}', "signup"),
        ('{"event_type":5}', ""),
        ("{}", ""),
    ],
)
def test_labels(text: str, label: str) -> None:
    assert _read(text)[0].label == label


def test_what_is_no_object_is_sent_as_it_is() -> None:
    assert [(each.body, each.event_id) for each in _read('[17, "x", null]')] == [
        (b"17", ""),
        (b'"x"', ""),
        (b"null", ""),
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no event"),
        (b" \n ", "holds no event"),
        (b"[]", "holds no event"),
        (b'{"a":', "neither JSON nor JSON lines"),
        (b'{\n"a": 1,\n"b": oops\n}', "neither JSON nor JSON lines"),
        (b'{"a":1}\n\n{"a":', "line 3"),
        (b"\xff\xfe{", "neither JSON nor JSON lines"),
        (b"[" * 5_000, "neither JSON nor JSON lines"),
        (b"[" + b"{}," * MAX_EVENTS + b"{}]", f"{MAX_EVENTS} can be followed"),
    ],
)
def test_what_cannot_be_sent_is_named(content: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words) as raised:
        _read(content)
    assert "events.json" in str(raised.value)


def test_an_event_made_of_options() -> None:
    fields = {"event_type": "page_view", "url": "https://x/", "visitor_id": ""}
    made = composed(fields, properties=["status=200", "title=A=B", 'tags=["a"]', "empty="])
    assert json.loads(made) == {
        "event_type": "page_view",
        "url": "https://x/",
        "properties": {"status": 200, "title": "A=B", "tags": ["a"], "empty": ""},
    }


@pytest.mark.parametrize("text", ["status", "=1"])
def test_a_property_needs_a_key_and_a_value(text: str) -> None:
    with pytest.raises(InputError, match="key=value"):
        composed({}, properties=[text])
