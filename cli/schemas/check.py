"""`sluice schemas check`: what is wrong with the contracts, for people, for scripts and for code review."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from cli.schemas.folder import chosen, folder_option, shown
from cli.schemas.output import print_json
from core.errors import ExitCode, UsageError
from schemas.checks import Problem, Report, report

_COLOURS = {"error": "red", "warning": "yellow"}


@click.command()
@click.argument("subjects", nargs=-1, metavar="[SUBJECT]...")
@folder_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option(
    "--github", "as_github", is_flag=True, help="Workflow commands, shown beside the lines of a pull request."
)
@click.option("--strict", is_flag=True, help="Warnings fail too.")
def check(*, subjects: tuple[str, ...], folder: Path | None, as_json: bool, as_github: bool, strict: bool) -> None:
    """Check contracts: files, released versions, compatibility with every earlier version, and lint.

    Drafts and the newest version of each subject are judged. Ends with 0 if nothing is wrong, with 1 if there are
    errors (with --strict: or warnings).
    """
    if as_json and as_github:
        raise UsageError("--json and --github exclude each other")
    found = report(chosen(folder), subjects=frozenset(subjects), today=datetime.now(UTC).date())
    if missing := sorted(set(subjects) - found.subjects):
        raise UsageError(f"there is no schema of {missing[0]!r}", hint="`sluice schemas list` shows all there are.")
    if as_json:
        print_json(_document(found))
    else:
        form = _as_command if as_github else _as_text
        for problem in found.problems:
            click.echo(form(problem), color=_colour())
        click.echo(click.style(_summary(found), bold=True), color=_colour())
    if found.count("error") or (strict and found.problems):
        sys.exit(ExitCode.DIFFERENCE)


def _colour() -> bool | None:
    """None leaves it to click, which colours what a terminal shows."""
    return False if "NO_COLOR" in os.environ else None


def _as_text(problem: Problem) -> str:
    place = click.style(f"{shown(problem.file)}:{problem.line}", bold=True)
    severity = click.style(problem.severity, fg=_COLOURS[problem.severity])
    rule = click.style(f"[{problem.rule}]", dim=True)
    return f"{place}: {severity}: {problem.message} {rule}\n    {problem.why}\n    → {problem.instead}\n"


def _as_command(problem: Problem) -> str:
    """A workflow command. Line breaks and its own delimiters are escaped as it asks."""
    text = f"{problem.message}\n{problem.why}\n{problem.instead}"
    file, title = _property(shown(problem.file)), _property(f"{problem.subject}:{problem.version} {problem.rule}")
    return f"::{problem.severity} file={file},line={problem.line},title={title}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _document(found: Report) -> dict[str, Any]:
    return {
        "versions": found.versions,
        "errors": found.count("error"),
        "warnings": found.count("warning"),
        "problems": [
            {
                "severity": problem.severity,
                "rule": problem.rule,
                "subject": problem.subject,
                "version": problem.version,
                "file": shown(problem.file),
                "line": problem.line,
                "path": problem.path,
                "message": problem.message,
                "why": problem.why,
                "instead": problem.instead,
            }
            for problem in found.problems
        ],
    }


def _summary(found: Report) -> str:
    looked_at = f"{found.versions} version{_s(found.versions)} checked"
    errors, warnings = found.count("error"), found.count("warning")
    if not errors and not warnings:
        return f"{looked_at}: nothing is wrong"
    return f"{looked_at}: {errors} error{_s(errors)}, {warnings} warning{_s(warnings)}"


def _s(number: int) -> str:
    return "" if number == 1 else "s"
