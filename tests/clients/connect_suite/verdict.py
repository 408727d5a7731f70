"""Compares what happened with what `expected.toml` lists, in both directions: an unexpected pass is a stale reason."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

PASSED: Final = "passed"
FAILED: Final = "failed"
SKIPPED: Final = "skipped"
_PACKAGE: Final = "tests.integration_tests."


@dataclass(frozen=True, slots=True)
class Expected:
    commit: str
    outcomes: Mapping[str, str]  # test id: failed or skipped
    reasons: Mapping[str, str]


class ExpectedError(ValueError):
    """The list itself is wrong."""


def read_expected(path: Path) -> Expected:
    document = tomllib.loads(path.read_text())
    outcomes: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for entry in document["expected"]:
        outcome, reason = entry["outcome"], " ".join(entry["reason"].split())
        if outcome not in (FAILED, SKIPPED) or not reason:
            raise ExpectedError(f"{path}: outcome must be failed or skipped, with a reason: {entry}")
        for test in entry["tests"]:
            if test in outcomes:
                raise ExpectedError(f"{path}: {test} is listed twice")
            outcomes[test], reasons[test] = outcome, reason
    return Expected(document["commit"], outcomes, reasons)


def read_outcomes(junit: Path) -> dict[str, str]:
    """Test id to outcome. An id is `module::test[parameters]`; a module that was not collected is just `module`."""
    outcomes: dict[str, str] = {}
    for case in ET.parse(junit).iter("testcase"):  # noqa: S314  written by our own pytest a moment ago
        module, name = case.get("classname", ""), case.get("name", "")
        test = f"{module.removeprefix(_PACKAGE)}::{name}" if module else name.removeprefix(_PACKAGE)
        outcomes[test] = _worst(outcomes.get(test), _outcome(case))
    return outcomes


def differences(expected: Expected, outcomes: Mapping[str, str]) -> list[str]:
    """One sentence each; none when all went as listed."""
    found = []
    for test in sorted(expected.outcomes.keys() | outcomes.keys()):
        due = expected.outcomes.get(test, PASSED)
        got = outcomes.get(test)
        if got is None:
            found.append(f"{test}: listed, but there is no such test")
        elif got != due:
            found.append(f"{test}: {got}, expected {due}" + (f" ({expected.reasons[test]})" if due != PASSED else ""))
    return found


def _outcome(case: ET.Element) -> str:
    tags = {child.tag for child in case}
    if tags & {"failure", "error"}:
        return FAILED
    return SKIPPED if "skipped" in tags else PASSED


def _worst(before: str | None, now: str) -> str:
    # A test whose clean-up fails is reported twice.
    return FAILED if FAILED in (before, now) else now
