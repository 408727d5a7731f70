"""The snippets do what they say: each is run, as far as that goes without a collector."""

from __future__ import annotations

import json
import subprocess

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from collector.contract import Event
from schemas.catalog.snippets import event, snippets

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
PROPERTIES = st.dictionaries(st.text(), JSON, max_size=4)
NASTY = {"'": "'\nEOF\n", "$(id)": "`id` ${HOME} \\", "</script>": "<!--", '"': '\\\'"""', "\u2028": "\r\n\t"}


def test_the_shell_sends_the_event() -> None:
    # Bash reads it, with a curl that shows what it got.
    snippet = 'curl() { printf \'%s\\n\' "$1" "$3"; cat; }\nKEY=k COLLECTOR=http://c\n'
    snippet += snippets("order", 2, NASTY).curl
    answer = subprocess.run(["/bin/bash", "-c", snippet], capture_output=True, check=True, encoding="utf-8").stdout
    url, header, body = answer.split("\n", 2)
    assert (url, header) == ("http://c/api/v1/tracking/collect/", "Authorization: Bearer k")
    assert json.loads(body) == event("order", 2, NASTY)


@given(properties=PROPERTIES)
@example(properties=NASTY)
def test_python_makes_the_event(properties: dict[str, object]) -> None:
    code = snippets("page_view", 1, properties).python
    built = code[: code.index("# Keep the id")]
    names: dict[str, object] = {}
    exec(compile(built, "snippet", "exec"), names)  # noqa: S102 (that it runs is the test)
    assert names["event"] == event("page_view", 1, properties)
    compile(code, "snippet", "exec")


@given(properties=PROPERTIES)
@example(properties=NASTY)
def test_javascript_makes_the_event(properties: dict[str, object]) -> None:
    code = snippets("page_view", 1, properties).javascript
    # JSON is JavaScript, so what stands between is an expression.
    built = code.removeprefix("const event = ").partition(";\n// Keep the id")[0]
    assert json.loads(built) == event("page_view", 1, properties)


def test_an_event_is_named_as_the_collector_expects() -> None:
    assert event("identity", 1, {})["event_type"] == "identity"
    assert "name" not in event("page_view", 1, {})
    assert (event("order", 3, {})["event_type"], event("order", 3, {})["name"]) == ("custom_event", "order")
    assert event("order", 3, {})["version"] == 3
    assert event("custom_event", 1, {})["name"] != "custom_event"


@given(properties=PROPERTIES)
def test_the_collector_takes_the_form(properties: dict[str, object]) -> None:
    for subject in ("page_view", "identity", "custom_event", "order"):
        msgspec.json.decode(json.dumps(event(subject, 1, properties)), type=Event)
