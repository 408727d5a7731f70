"""The judge of clickhouse-connect's tests: what is not listed counts, in both directions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.connect_suite import verdict
from tests.clients.connect_suite.verdict import Expected

EXPECTED = Expected("c", {"a::x": "failed", "a::y": "skipped"}, {"a::x": "no roles", "a::y": "no proxy"})


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        ({"a::x": "failed", "a::y": "skipped", "a::z": "passed"}, []),
        ({"a::x": "passed", "a::y": "skipped"}, ["a::x: passed, expected failed (no roles)"]),
        ({"a::x": "failed", "a::y": "failed"}, ["a::y: failed, expected skipped (no proxy)"]),
        ({"a::x": "failed", "a::y": "skipped", "b::z": "failed"}, ["b::z: failed, expected passed"]),
        ({"a::x": "failed", "a::y": "skipped", "b::z": "skipped"}, ["b::z: skipped, expected passed"]),
        ({"a::x": "failed"}, ["a::y: listed, but there is no such test"]),
    ],
)
def test_both_directions_count(outcomes: dict[str, str], words: list[str]) -> None:
    assert verdict.differences(EXPECTED, outcomes) == words


def test_outcomes_are_read_from_pytests_report(tmp_path: Path) -> None:
    report = tmp_path / "junit.xml"
    report.write_text(
        """<testsuites><testsuite>
        <testcase classname="" name="tests.integration_tests.test_jwt"><skipped/></testcase>
        <testcase classname="tests.integration_tests.test_a" name="one[sync]"/>
        <testcase classname="tests.integration_tests.test_a" name="one[sync]"><error message="in clean-up"/></testcase>
        <testcase classname="tests.integration_tests.sub.test_b" name="two"><failure/></testcase>
        <testcase classname="tests.integration_tests.sub.test_b" name="three"><system-out/></testcase>
        </testsuite></testsuites>"""
    )
    assert verdict.read_outcomes(report) == {
        "test_jwt": "skipped",
        "test_a::one[sync]": "failed",
        "sub.test_b::two": "failed",
        "sub.test_b::three": "passed",
    }


def test_the_list_has_reasons_and_no_doubles(tmp_path: Path) -> None:
    listed = verdict.read_expected(Path(verdict.__file__).with_name("expected.toml"))
    assert listed.outcomes
    assert all(len(reason) > 20 for reason in listed.reasons.values())
    twice = tmp_path / "expected.toml"
    twice.write_text('commit = "c"\n' + '[[expected]]\noutcome = "failed"\nreason = "r"\ntests = ["a"]\n' * 2)
    with pytest.raises(verdict.ExpectedError, match="twice"):
        verdict.read_expected(twice)
