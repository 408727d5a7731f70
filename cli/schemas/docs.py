"""`sluice schemas docs`: the contracts as a static site."""

from __future__ import annotations

from pathlib import Path

import click

from cli.schemas.folder import chosen, folder_option, shown
from cli.schemas.output import print_json
from schemas.catalog import Written, build, write
from schemas.registry import registry_at


@click.command()
@folder_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("catalog"),
    show_default=True,
    help="Folder that the site is written to.",
)
@click.option("--drafts", is_flag=True, help="Also what is not released yet.")
@click.option("--force", is_flag=True, help="Write into a folder that holds other files. They stay.")
@click.option("--open", "opened", is_flag=True, help="Show it in the browser.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def docs(*, folder: Path | None, out: Path, drafts: bool, force: bool, opened: bool, as_json: bool) -> None:
    """Write a catalog of all events and contexts: a static site that needs no server and no JavaScript.

    The same contracts give the same files, so a site can be committed and compared. Pages of what is gone are removed.
    """
    registry = registry_at(chosen(folder), drafts=drafts)
    done = write(out, build(registry), force=force)
    index = out / "index.html"
    if as_json:
        print_json(_document(index, done))
    else:
        for path in done.written:
            click.echo(f"written  {shown(out / path)}")
        for path in done.removed:
            click.echo(f"removed  {shown(out / path)}")
        click.secho(f"{_summary(done)}; it begins at {shown(index)}", bold=True)
    if opened:
        click.launch(index.resolve().as_uri())


def _summary(done: Written) -> str:
    counted = ((done.written, "written"), (done.unchanged, "unchanged"), (done.removed, "removed"))
    return ", ".join(f"{len(paths)} {word}" for paths, word in counted if paths)


def _document(index: Path, done: Written) -> dict[str, object]:
    return {
        "index": str(index),
        "written": list(done.written),
        "unchanged": list(done.unchanged),
        "removed": list(done.removed),
    }
