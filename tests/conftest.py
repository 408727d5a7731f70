"""What every test gets: one Hypothesis profile, and guards against failures that would otherwise go unseen."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from core import failpoints

# No deadline: the machines that run this are shared. Failing examples are printed to be pasted.
hypothesis.settings.register_profile("sluice", deadline=None, max_examples=60, print_blob=True)
hypothesis.settings.load_profile("sluice")


# Started in the background of a script we would ignore Ctrl-C, and so would each process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_swallowed_failure(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails a test in which a log record could not be written (logging prints that and goes on), and disarms what a
    test armed.
    """
    swallowed: list[str] = []

    def record_failure(_handler: logging.Handler, record: logging.LogRecord) -> None:
        swallowed.append(f"{record.name}: {record.msg}: {sys.exc_info()[1]!r}")

    monkeypatch.setattr(logging.Handler, "handleError", record_failure)
    yield
    failpoints.arm("", state_dir=Path())
    assert not swallowed, f"log records that could not be written: {swallowed}"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="Run the long fault and soak profiles too.")
    parser.addoption("--browser", action="store_true", help="Run the tests that look at pages in a real browser too.")
    parser.addoption("--clients", action="store_true", help="Run the tests of clients in other languages too.")


_SLOW = {"fault", "integration", "sinks", "up"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Files that take minutes come first: what is quick fills up what is left to each worker in the end.
    items.sort(key=lambda item: item.path.parent.name not in _SLOW)
    for name, reason in (
        ("long", "a long profile"),
        ("browser", "it needs a real browser"),
        ("clients", "it needs node, go and their registries"),
    ):
        if not config.getoption(f"--{name}"):
            skip = pytest.mark.skip(reason=f"{reason}: run with --{name}")
            for item in items:
                if item.get_closest_marker(name):  # a keyword would be any folder of that name too
                    item.add_marker(skip)
