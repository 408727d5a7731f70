"""`sluice schemas release`: drafts become contracts that events are judged by."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from pathlib import Path

import click

from cli.schemas.folder import find, folder_option, shown, writable
from cli.schemas.telling import tell_running
from core.errors import ExitCode, UsageError
from schemas import checks
from schemas.checks import Problem
from schemas.registry import registry_at
from schemas.release import Check, CheckFailedError, carry_out, path_of, plan
from schemas.released import Released


@click.command()
@click.argument("subjects", nargs=-1, metavar="[SUBJECT]...")
@click.option("--all", "everything", is_flag=True, help="Every draft there is.")
@click.option("--dry-run", is_flag=True, help="Check and tell what would be done.")
@folder_option
def release(*, subjects: tuple[str, ...], everything: bool, dry_run: bool, folder: Path | None) -> None:
    """Check the drafts of SUBJECT and release them: each gets an id, and never changes again.

    Ends with 1 and releases nothing if a check finds an error.

    \b
    Example:
      sluice schemas release trial_started
    """
    if bool(subjects) == everything:
        raise UsageError("name subjects, or --all", hint="`sluice schemas list --drafts` shows what is not released.")
    folder = writable(folder)
    registry = registry_at(folder, drafts=True)
    for subject in subjects:
        find(registry, subject)
    today = datetime.now(UTC).date()
    try:
        planned = plan(folder, None if everything else subjects, today=today, check=_check_on(today))
    except CheckFailedError as error:
        for problem in error.problems:
            click.echo(_line(problem))
        click.secho(error.message, bold=True)
        sys.exit(ExitCode.DIFFERENCE)
    for problem in planned.warnings:
        click.echo(_line(problem))
    if not planned.releases:
        click.echo("no draft to release")
        return
    if dry_run:
        for each in planned.releases:
            click.echo(f"{each.subject}:{each.version} would be released with id {each.id}")
        return
    _tell(folder, carry_out(planned))


def _tell(folder: Path, released: list[Released]) -> None:
    for each in released:
        click.echo(f"{click.style(each.label, bold=True)} is released with id {each.id}")
        click.echo(f"  {shown(path_of(folder, each.subject, each.version))} does not change any more.")
    click.echo("Commit this together with lock.json.")
    tell_running(folder, released)


def _check_on(today: date) -> Check:
    return lambda folder, subjects: checks.report(folder, subjects=subjects, today=today)


def _line(problem: Problem) -> str:
    place = click.style(f"{shown(problem.file)}:{problem.line}", bold=True)
    severity = click.style(problem.severity, fg="red" if problem.severity == "error" else "yellow")
    return f"{place}: {severity}: {problem.message}\n    → {problem.instead}"
