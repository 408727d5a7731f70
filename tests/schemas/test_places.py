"""Lines of fields in the text of a schema file."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.places import Places, _read

TEXT = """{
  "type": "record",
  "name": "R",
  "doc": "A \\"name\\": {\\"fields\\": [",
  "fields": [
    {"name": "a", "type": "int"},

    {"name": "b",
     "type": ["null", {"type": "record", "name": "Q", "fields": [
       {"name": "a", "type": "long"},
       {"name": "c", "type": "S"}]}]},
    {"type": {"type": "array", "items": {"type": "map", "values": {"type": "record", "name": "T", "fields": [
      {"name": "d", "type": {"type": {"type": "record", "name": "U", "fields": [
        {"name": "e", "type": "int", "default": [[], {}, 1.5e3, true, null, ""]}
      ]}}}]}}},
     "name": "f"},
    {"name": "g", "type": []}
  ]
}
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("$", 1),
        ("$.a", 6),
        ("$.b", 8),
        ("$.b.a", 10),
        ("$.b.c", 11),
        ("$.f", 12),
        ("$.f[]{}.d", 13),
        ("$.f[]{}.d.e", 14),
        ("$.g", 17),
    ],
)
def test_a_field_has_a_line(path: str, line: int) -> None:
    assert Places(TEXT).line(path) == line


@pytest.mark.parametrize(
    ("path", "line"),
    [("$.nope", 1), ("$.b.c.of.another.file", 11), ("$.f[]{}.nope", 12), ("$.a[]", 6), ("$.g{}.x[]", 17), ("", 1)],
)
def test_what_stands_elsewhere_has_the_line_of_what_leads_there(path: str, line: int) -> None:
    assert Places(TEXT).line(path) == line


def test_a_schema_in_one_line() -> None:
    assert Places('{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}').line("$.a") == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, st.sampled_from([None, 0, 1, "\t"]))
def test_it_reads_what_a_json_parser_reads(value: object, indent: int | str | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=False)

    def plain(node: object) -> object:
        if isinstance(node, list):
            return [plain(each) for each in node]
        members = getattr(node, "members", None)
        return {name: plain(each) for name, each in members.items()} if members is not None else node

    read, end = _read(f" {text} ", 0)
    assert plain(read) == value
    assert end == len(text) + 1
