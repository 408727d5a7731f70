"""The exception tree: as drawn, so it is."""

from __future__ import annotations

import re

import pytest

from core import errors
from core.errors import ExitCode, SlowDownError, SluiceError


def drawn() -> dict[str, str]:
    """Class → base class, from the drawing at the top of the module."""
    tree: dict[str, str] = {}
    levels: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^    (?P<branches>[│├└─ ]*)(?P<name>\w+Error)\b", line)
        if found:
            depth = len(found["branches"]) // 4
            levels[depth:] = [found["name"]]
            tree[found["name"]] = levels[depth - 1] if depth else "Exception"
    return tree


def defined() -> dict[str, str]:
    return {
        name: value.__bases__[0].__name__
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }


CLASSES = [getattr(errors, name) for name in defined()]


def test_the_drawing_equals_the_classes() -> None:
    assert drawn() == defined()
    assert len(drawn()) > 10


def test_a_code_names_one_class() -> None:
    codes = [cls.code for cls in CLASSES]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z_]+", code) for code in codes)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_each_class_says_what_follows(cls: type[SluiceError]) -> None:
    assert isinstance(cls.exit_code, ExitCode)
    assert cls.exit_code not in {ExitCode.OK, ExitCode.DIFFERENCE}, "an error is neither success nor a finding"
    assert 400 <= cls.http_status < 600
    if cls.http_status in {429, 503}:
        assert cls.retryable, "a client that is told to come back must have a reason to"


def test_an_error_carries_message_and_hint() -> None:
    error = errors.ConfigError("what", hint="why")
    assert (str(error), error.message, error.hint) == ("what", "what", "why")
    slow = SlowDownError("full", retry_after=1.5)
    assert slow.retry_after == 1.5
    assert isinstance(slow, errors.UnavailableError)


def test_exit_codes_are_those_of_sysexits() -> None:
    """Scripts of users compare these numbers: they never change."""
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0,
        "DIFFERENCE": 1,
        "USAGE": 64,
        "INPUT": 65,
        "UNAVAILABLE": 69,
        "INTERNAL": 70,
        "STATE": 73,
        "DISK_FULL": 74,
        "LOCKED": 75,
        "CONFIG": 78,
        "INTERRUPTED": 130,
    }


def test_every_exit_code_is_used_or_the_shells() -> None:
    by_error = {cls.exit_code for cls in CLASSES}
    assert set(ExitCode) - by_error == {ExitCode.OK, ExitCode.DIFFERENCE, ExitCode.INTERRUPTED}
