"""`sluice import access-log` and `sluice import events`: what each has of its own."""

from __future__ import annotations

from functools import partial
from typing import cast, get_args

import click

from cli.importer.access_log import import_access_log
from cli.importer.events import import_events
from cli.importer.formats import AUTO, FORMATS
from cli.importer.mapping import Consent, Mapping
from cli.importer.options import Common, common_options, run


@click.command("access-log")
@common_options
@click.option("--format", "format_", type=click.Choice([AUTO, *FORMATS]), default=AUTO, show_default=True)
@click.option("--site", default="", help="Put before each path, e.g. https://example.org.")
@click.option("--consent", type=click.Choice(get_args(Consent)), default="granted", show_default=True)
def access_log(common: Common, /, *, format_: str, site: str, consent: str) -> None:
    """Import web servers' access logs, plain or gzip; - is standard input, 'logs/*.gz' in quotes a pattern.

    Importing the same log again, also when it has grown or was rotated, adds only what is new: each line is one
    event with an id of its own. Give the parts of a rotated log together; they are read oldest first. An import that
    was cut off, by whatever, goes on where it was when it is started again.
    """
    mapping = Mapping(source=common.source, site=site, consent=cast("Consent", consent), format=format_)
    run(common, partial(import_access_log, mapping=mapping))


@click.command("events")
@common_options
def events(common: Common, /) -> None:
    """Import events as the collect endpoint takes them, one JSON object a line, plain or gzip; - is standard input.

    Consent and tenant are those of each line. A line without event_id gets one that is the same each time. Lines that
    are refused, by the importer or by the collector, go to the rejects file. An import that was cut off, by whatever,
    goes on where it was when it is started again.
    """
    run(common, partial(import_events, source=common.source))
