"""One line an event, whatever is in it and however wide the terminal is."""

from __future__ import annotations

import click
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from cli.tail.render import TerminalLines, as_json, as_line
from cli.tail.sighting import Sighting
from schemas.faults import Fault
from tests.tail.sightings import curated, dead_letter, duplicate

# Half a surrogate pair gets through no decoder.
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


def _plain(line: str) -> str:
    return click.unstyle(line)


def test_a_line_for_files_is_whole() -> None:
    assert as_line(curated(event_id="e-" + "1" * 60)) == (
        f"2023-11-14T22:13:20Z curated     demo page_view e-{'1' * 60} v-1 example.org/a?b=c"
    )
    assert as_line(dead_letter(properties={"status": 1})).endswith(
        " e-1 v-1 out_of_bounds at $.properties.status: expected integer from 100 to 599, got integer 1"
    )


def test_a_terminal_line_is_aligned_and_cut() -> None:
    lines = TerminalLines(80)
    first, second = _plain(lines(curated(url="https://example.org/" + "a" * 90))), _plain(lines(duplicate()))
    assert len(first) == 79
    assert first.endswith("…")
    assert first.index("page_view") == second.index("page_view")
    assert [line.split()[1] for line in (first, second)] == ["curated", "duplicate"]


def test_reasons_stand_in_the_line_where_they_fit_and_below_where_not() -> None:
    letter = dead_letter(properties={"status": "x"})
    reason = 'wrong_type at $.properties.status: expected integer from 100 to 599, or null, got string "x"'
    assert _plain(TerminalLines(160)(letter)).endswith(reason)
    head, *below = _plain(TerminalLines(110)(letter)).split("\n")
    assert "dead-letter" in head
    assert below == [f"  {reason}"]
    assert len(_plain(TerminalLines(40)(letter)).split("\n")) == 4


def test_colours_tell_outcomes_apart() -> None:
    styled = {TerminalLines(80)(each)[9:14] for each in (curated(), duplicate(), dead_letter(properties=[]))}
    assert len(styled) == 3


@given(st.integers(24, 200), _TEXT, _TEXT, _TEXT)
def test_no_line_is_wider_than_the_terminal_or_steers_it(width: int, tenant: str, name: str, url: str) -> None:
    faults = (Fault("wrong_type", f"$.{name}", "int", "str"),)
    fields = {"event_id": tenant, "name": name, "url": url, "visitor_id": url}
    seen = Sighting("dead_letter", 0, 1, 2, tenant, "page_view", 1, fields, faults)
    head, *below = TerminalLines(width)(seen).split("\n")
    assert all(cell_len(_plain(line)) < width for line in [head, *below])
    assert "\x1b" not in _plain("".join([head, *below]))
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in as_line(seen) + as_json(seen))


def test_json_has_the_whole_event() -> None:
    document = msgspec.json.decode(as_json(curated(url="https://x/\x1b\x9b")))
    assert document["event"]["url"] == "https://x/\x1b\x9b"
    assert "\x9b" not in as_json(curated(url="https://x/\x9b"))
    assert document["outcome"] == "curated"


@pytest.mark.parametrize("properties", [{}, {"a": "b"}])
def test_an_event_without_an_address_shows_what_it_says(properties: dict[str, str]) -> None:
    line = as_line(curated(url="", properties=properties, event_type="custom_event", name="signup"))
    assert line.endswith('{"a":"b"}' if properties else "v-1")
