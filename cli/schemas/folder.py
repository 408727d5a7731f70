"""What all commands share: which folder they work on, and which contract a person means."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from core.errors import UsageError
from core.settings import Settings
from schemas.registry import BUNDLED, Registry, Schema, registry_at

_F = TypeVar("_F", bound=Callable[..., Any])


def folder_option(command: _F) -> _F:
    return click.option(
        "--folder",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="Schema folder, with `avro/` and `lock.json` in it. Default: SLUICE_SCHEMAS_DIR, else the starter plan.",
    )(command)


def chosen(given: Path | None) -> Path:
    """The folder to read."""
    if given is not None:
        return given
    configured = Settings.from_env(os.environ).schemas_dir
    return Path(configured) if configured else BUNDLED


def writable(given: Path | None) -> Path:
    """The folder to write to. The starter plan changes for those only who name it.

    Raises:
        UsageError: no folder is named.
    """
    folder = chosen(given)
    if given is None and folder == BUNDLED:
        raise UsageError(
            "the starter plan belongs to Sluice: contracts of yours live in a folder of yours",
            hint="`sluice schemas init my-contracts` makes one; then name it with SLUICE_SCHEMAS_DIR or --folder.",
        )
    registry_at(folder, drafts=True)  # whatever cannot be read is told before anything is written
    return folder


def labelled(label: str) -> tuple[str, int | None]:
    """`SUBJECT[:VERSION]` taken apart.

    Raises:
        UsageError: the version is no number above 0.
    """
    subject, colon, version = label.partition(":")
    if colon and not (version.isascii() and version.isdecimal() and int(version)):
        raise UsageError(f"{label!r} is no SUBJECT:VERSION", hint="A version is a number, e.g. page_view:1.")
    return subject, int(version) if colon else None


def find(registry: Registry, label: str) -> Schema:
    """The schema that `SUBJECT[:VERSION]` names, the newest without a version.

    Raises:
        UsageError: there is none; the hint names the nearest.
    """
    subject, version = labelled(label)
    versions = registry.versions(subject)
    if not versions:
        raise unknown_subject(registry, subject)
    found = registry.find(subject, version or versions[-1])
    if found is None:
        raise UsageError(f"{subject} has no version {version}", hint=f"It has {', '.join(map(str, versions))}.")
    return found


def unknown_subject(registry: Registry, subject: str) -> UsageError:
    near = difflib.get_close_matches(subject, registry.subjects(), n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else "`sluice schemas list` shows all there are."
    return UsageError(f"there is no schema of {subject!r}", hint=hint)


def shown(path: Path) -> str:
    """As seen from here, where that is shorter."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
