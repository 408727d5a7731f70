"""The commands that run one process of the flow each, for real deployments and for the supervisor."""

from __future__ import annotations

import os

import click

from core.settings import Settings


@click.command()
def collector() -> None:
    """Run a collector: HTTP in, raw topic out. SIGTERM drains it."""
    from collector.server import run

    run(Settings.from_env(os.environ))


@click.command()
def streams() -> None:
    """Run a stream worker: raw topic in; curated, dead letters and outcomes out. SIGTERM drains it."""
    from streams.worker import run

    run(Settings.from_env(os.environ))


@click.command()
def sink() -> None:
    """Run a sink: curated topic in, ClickHouse tables out. SIGTERM drains it."""
    from core.lifecycle import die
    from sinks.worker import run

    try:
        run(Settings.from_env(os.environ))
    except Exception as error:
        if getattr(error, "exit_code", None) is None:
            die("sink.failed")
        raise
