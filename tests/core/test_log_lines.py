"""Log lines: whatever a client sends, one event is one line, and no value forges another."""

from __future__ import annotations

import errno
import io
import json
import logging
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import log

# What ends lines, moves cursors or turns text around: as dense as an attacker would send it.
NASTY = st.text(
    st.sampled_from("\r\n\x0b\x0c\x1b\x1c\x1e\x7f\x85\x9b\u061c\u200f\u2028\u2029\u202e\u2066[31m{}\"\\'= a")
)
TEXT = NASTY | st.text()
VALUES = st.recursive(
    TEXT | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


# What Unicode calls explicit directional formatting (UAX 9), besides its three marks.
_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def hidden(text: str) -> list[str]:
    """Characters of `text` that a terminal acts on instead of showing them."""
    return [
        c
        for c in text
        if unicodedata.category(c) in {"Cc", "Zl", "Zp"}
        or unicodedata.bidirectional(c) in _TURNING
        or c in "\u061c\u200e\u200f"
    ]


class Sink:
    """Configured logging, written into memory."""

    def __init__(self, form: str, level: str = "debug") -> None:
        self._stream = io.StringIO()
        log.configure(process="test", level=level, form=form, stream=self._stream)
        self.logger = log.get_logger("tests.log")

    def text(self) -> str:
        out = self._stream.getvalue()
        self._stream.seek(0)
        self._stream.truncate()
        return out


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@given(st.dictionaries(st.sampled_from(["a", "b", "path"]), VALUES))
def test_a_json_line_is_one_line_and_parses_back(fields: dict[str, Any]) -> None:
    sink = Sink("json")
    sink.logger.info("thing.done", **fields)
    text = sink.text()
    assert text.endswith("\n")
    assert len(text.splitlines()) == 1
    assert not hidden(text[:-1])
    line = json.loads(text)
    assert {name: line[name] for name in fields} == fields
    assert (line["event"], line["level"], line["process"], line["logger"]) == (
        "thing.done",
        "info",
        "test",
        "tests.log",
    )


@given(TEXT, TEXT)
def test_a_text_line_is_one_line(one: str, two: str) -> None:
    sink = Sink("text")
    sink.logger.warning("thing.done", one=one, two=[two])
    text = sink.text()
    assert len(text.splitlines()) == 1
    assert not hidden(text[:-1])
    head, _, rest = text.partition(" one=")
    assert head.endswith("warning test thing.done")
    value, at = json.JSONDecoder().raw_decode(rest)
    assert value == one
    assert json.loads(rest[at:].removeprefix(" two=")) == [two]


@pytest.mark.parametrize(
    "value",
    ["\udcff", {"a": "\udcff"}, 2**70, float("nan"), b"\xff", {1, 2}, {(1, 2): 3}, object, ValueError("a\nb")],
    ids=repr,
)
@pytest.mark.parametrize("form", ["json", "text"])
def test_no_value_costs_a_line(form: str, value: object) -> None:
    sink = Sink(form)
    sink.logger.info("thing.done", value=value, after=1)
    (line,) = sink.text().splitlines()
    assert "thing.done" in line
    assert "after" in line


def test_a_value_that_holds_itself_costs_no_line() -> None:
    itself: list[object] = []
    itself.append(itself)
    sink = Sink("json")
    sink.logger.info("thing.done", value=itself)
    assert json.loads(sink.text())["value"] == "[[...]]"


def test_an_exception_stays_in_its_json_line() -> None:
    sink = Sink("json")
    try:
        raise ValueError("first\nsecond")  # noqa: TRY301
    except ValueError:
        sink.logger.exception("thing.failed", part=3)
    (text,) = sink.text().splitlines()
    line = json.loads(text)
    assert (line["level"], line["part"]) == ("error", 3)
    assert "ValueError: first\nsecond" in line["exception"]


def test_levels_are_those_asked_for() -> None:
    sink = Sink("json", level="warning")
    sink.logger.debug("a")
    sink.logger.info("b")
    sink.logger.warning("c")
    sink.logger.error("d")
    assert [json.loads(line)["event"] for line in sink.text().splitlines()] == ["c", "d"]


def test_configuring_again_replaces_the_handler() -> None:
    Sink("json")
    sink = Sink("json")
    sink.logger.info("once")
    assert len(sink.text().splitlines()) == 1


def test_a_stream_that_is_no_terminal_gets_json() -> None:
    sink = Sink("auto")
    sink.logger.info("thing.done")
    assert json.loads(sink.text())["event"] == "thing.done"


def test_client_libraries_that_narrate_are_quiet() -> None:
    sink = Sink("json", level="debug")
    logging.getLogger("urllib3").info("connecting")
    logging.getLogger("urllib3").warning("broke off")
    logging.getLogger("aiokafka.consumer.fetcher").error("and again")
    assert [json.loads(line)["event"] for line in sink.text().splitlines()] == ["broke off"]


class _FullDisk(io.StringIO):
    full = False

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_lines_that_cannot_be_written_are_counted_and_told_of_later(capfd: pytest.CaptureFixture[str]) -> None:
    out = _FullDisk()
    log.configure(process="test", form="json", stream=out)
    logger = log.get_logger("test")
    logger.info("before")
    out.full = True
    for _ in range(3):
        logger.info("lost")
    out.full = False
    logger.info("after")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["before", "log.lines_lost", "after"]
    assert lines[1]["lines"] == 3
    assert capfd.readouterr() == ("", "")
