"""Schema files as text, and the lock: what is written is read again, and what is damaged is told with its place."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError
from schemas import files, lock

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=4)
SOURCES = st.fixed_dictionaries(
    {"type": st.just("record"), "fields": st.lists(OBJECTS, max_size=3)},
    optional={"doc": st.text(), "examples": st.lists(JSON, max_size=3), "unknown": st.text()},
)
LIFECYCLES = st.dictionaries(st.sampled_from(sorted(lock.LIFECYCLE)), st.text() | st.integers(), max_size=5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "1.avsc"


# -- text


@given(source=SOURCES)
def test_what_is_written_is_read_again(source: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "round_trip.avsc"
    text = files.dump(source)
    path.write_text(text, encoding="utf-8", newline="")
    assert files.read(path) == source
    assert list(files.read(path)) == list(source)
    assert files.dump(files.read(path)) == text


def test_each_field_has_a_line(path: Path) -> None:
    text = files.dump(
        {"name": "T", "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": "int"}], "examples": []}
    )
    assert text.splitlines() == [
        "{",
        '  "name": "T",',
        '  "fields": [',
        '    {"name": "a", "type": "int"},',
        '    {"name": "b", "type": "int"}',
        "  ],",
        '  "examples": []',
        "}",
    ]
    assert (files.line_of(text, "T"), files.line_of(text, "b"), files.line_of(text, "c")) == (2, 5, 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", ":1: not JSON"),
        (b'{\n  "a": 1,\n  "b" 2\n}', ":3: not JSON"),
        (b'{\n  "a": 1,\n  "b": 2,\n  "a": 3\n}', ":4: key 'a' is there twice"),
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b'{"a": Infinity}', "Infinity is no JSON number"),
        (b"[1]", ":1: not an Avro record"),
        (b'{"a": "\xff"}', "not UTF-8 at byte 7"),
        (b"[" * 100_000, "not JSON"),
    ],
    ids=["empty", "comma", "twice", "nan", "infinity", "list", "utf-8", "deep"],
)
def test_what_is_damaged_is_told_with_file_and_line(content: bytes, said: str, path: Path) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        files.read(path)
    assert refused.value.message.startswith(str(path))
    assert said in refused.value.message


def test_a_file_that_is_not_there_is_named(path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        files.read(path)


# -- fingerprints


@given(source=SOURCES, lifecycle=LIFECYCLES, indent=st.none() | st.integers(0, 4))
def test_a_fingerprint_knows_neither_layout_nor_lifecycle(
    source: dict[str, Any], lifecycle: dict[str, Any], indent: int | None
) -> None:
    turned = dict(reversed(source.items()))
    laid_out = json.loads(json.dumps(lifecycle | turned, indent=indent))
    assert lock.fingerprint(laid_out) == lock.fingerprint(source)
    assert lock.entry(laid_out, 7) == lock.entry(source, 7)


@given(source=SOURCES, other=SOURCES)
def test_another_content_has_another_fingerprint(source: dict[str, Any], other: dict[str, Any]) -> None:
    same = json.dumps(source, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (lock.fingerprint(source) == lock.fingerprint(other)) == same
    assert (lock.entry(source, 1).guid == lock.entry(other, 1).guid) == same


# -- the lock


SUBJECTS = st.text(string.ascii_lowercase + "_", min_size=1, max_size=8)


@given(versions=st.dictionaries(st.tuples(SUBJECTS, st.integers(1, 20)), st.just(None), max_size=8))
def test_a_lock_is_read_as_it_was_written(
    versions: dict[tuple[str, int], None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    locked: lock.Lock = {}
    for number, (subject, version) in enumerate(versions):
        locked.setdefault(subject, {})[version] = lock.entry({"name": subject, "doc": str(version)}, 100 + number)
    lock.write(folder, locked)
    assert lock.read(folder) == locked
    assert lock.next_id(locked) == 100 + len(versions)
    # One line a version, so that releases on two branches merge.
    assert (folder / lock.FILE).read_text().count('{"id": ') == len(versions)
    assert not list(folder.glob("*.new"))


def test_no_lock_is_an_empty_one(tmp_path: Path) -> None:
    assert lock.read(tmp_path) == {}
    assert lock.next_id({}) == lock.FIRST_FREE_ID


def test_an_id_given_twice_is_refused(tmp_path: Path) -> None:
    lock.write(tmp_path, {"a": {1: lock.entry({"name": "a"}, 100)}, "b": {1: lock.entry({"name": "b"}, 100)}})
    with pytest.raises(ConfigError, match="id 100 is given to two schemas"):
        lock.read(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"a": 1}', b'{"a": {"one": {}}}', b'{"a": {"1": {"id": 100}}}', b"\xff"]
)
def test_a_damaged_lock_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / lock.FILE).write_bytes(content)
    with pytest.raises(ConfigError, match="not a lock file"):
        lock.read(tmp_path)
