"""The commands that run one process of the flow each, for real deployments and for the supervisor."""

from __future__ import annotations

import os

import click

from cli.streams.status import status
from cli.streams.switch import pause, resume
from core.settings import Settings


@click.command()
def collector() -> None:
    """Run a collector: HTTP in, raw topic out. SIGTERM drains it.

    With SLUICE_COLLECTOR_WORKERS, that many processes on one port, started again when one ends.
    """
    settings = _named_on_the_wire()
    if settings.collector_workers > 1 and not settings.collector_worker_id:
        from cli.collectors import supervise

        supervise(settings)
        return
    from collector.server import run

    run(settings)


@click.group(invoke_without_command=True, subcommand_metavar="[COMMAND]")
@click.pass_context
def streams(context: click.Context) -> None:
    """Run a stream worker: raw topic in; curated, dead letters and outcomes out. SIGTERM drains it.

    With a command: ask or tell the workers that run.
    """
    if context.invoked_subcommand is not None:
        return
    settings = _named_on_the_wire()
    from streams.worker import run

    run(settings)


for _command in (status, pause, resume):
    streams.add_command(_command)


@click.command()
def sink() -> None:
    """Run a sink: curated topic in, ClickHouse tables out. SIGTERM drains it."""
    settings = _named_on_the_wire()
    from core.lifecycle import die
    from sinks.worker import run

    try:
        run(settings)
    except Exception as error:
        if getattr(error, "exit_code", None) is None:
            die("sink.failed")
        raise
    except BaseException:
        raise
    except:  # noqa: E722 (a bare KafkaError, raised out of a rebalance callback, is not even a BaseException)
        die("sink.failed")


@click.command()
def registry() -> None:
    """Run a schema registry for Kafka tools: our schemas over HTTP, read only. SIGTERM ends it."""
    from cli.registry import refuse_beside_another, run
    from core.log import configure

    settings = Settings.from_env(os.environ)
    configure(process="registry", level=settings.log_level, form=settings.log_format)
    refuse_beside_another(settings)
    run(settings, another="SLUICE_REGISTRY_PORT")


def _named_on_the_wire() -> Settings:
    """The settings, with what an external registry calls our schemas in force before any encoder is compiled."""
    from schemas.publishing import install

    settings = Settings.from_env(os.environ)
    install(settings)
    return settings
