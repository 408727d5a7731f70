"""`sluice`: the command line. Assembles the commands; each lives in its own module and is imported when it is called,
so that `--help` is fast and a process loads only its own room.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from cli.lazy import LazyGroup
from core.errors import ExitCode, SluiceError

_COMMANDS = {
    "up": ("cli.up.command", "up", "Start the whole stack and show how it is doing."),
    "status": ("cli.up.status", "status", "Show how the running stack is doing."),
    "logs": ("cli.up.logs", "logs", "Show what the processes log."),
    "down": ("cli.up.down", "down", "Stop the running stack."),
    "reset": ("cli.up.reset", "reset", "Delete all data in the state folder."),
    "demo": ("cli.demo.command", "demo", "Import real web traffic end to end and compare the rollups with a recount."),
    "import": ("cli.importing", "import_group", "Import historic events from files."),
    "users": ("cli.users", "users", "Make, list and revoke users of the embedded ClickHouse."),
    "query": ("cli.query", "query", "Run SQL on ClickHouse, for scripts."),
    "sql": ("cli.sql.command", "sql", "Run SQL on ClickHouse, interactively."),
    "send": ("cli.send.command", "send", "Send events and tell what became of each, up to its row."),
    "tail": ("cli.tail.command", "tail", "Show events as they become curated, dead-lettered or duplicates."),
    "keys": ("cli.keys.group", "keys", "Tracking keys: make, list, rotate and revoke them."),
    "spool": ("cli.spool.group", "spool", "What collectors hold for a Kafka that is away: list, verify, drain."),
    "flags": ("cli.flags", "flags", "Switches of running processes: list and set them."),
    "test-server": ("cli.test_server.command", "test_server", "Run the pipeline in memory, for tests of clients."),
    "replay": ("cli.replay.group", "replay", "Restate a window after a contract was mended: plan, run, rollback."),
    "dlq": ("cli.dlq.group", "dlq", "Dead letters by cause, and rules that repair them."),
    "collector": ("cli.processes", "collector", "Run a collector."),
    "streams": ("cli.processes", "streams", "Run a stream worker."),
    "sink": ("cli.processes", "sink", "Run a sink."),
    "processor": ("cli.processor", "processor", "Run a processor of your own: curated events to topics of its own."),
    "registry": ("cli.processes", "registry", "Run a schema registry for Kafka tools."),
    "schemas": ("cli.schemas.group", "schemas", "Contracts of events: list, draft, check, release and try them out."),
    "topics": ("cli.apply", "topics", "Create and configure the topics."),
    "backup": ("cli.backing_up", "backup", "Write all tables and the control topic into a folder."),
    "restore": ("cli.backing_up", "restore", "Fill an empty database from a backup."),
    "migrate": ("cli.migrating", "migrate", "Bring the ClickHouse database up to date, or say what it lacks."),
    "completeness": ("cli.completeness", "completeness", "How far the tables are, gaps, closed days."),
    "audit": ("cli.audit.group", "audit", "Look for what should not be there, such as ids with several rows."),
    "rollups": ("cli.rollups.group", "rollups", "Compare rollups with a recount of the base, and make them whole."),
    "retention": ("cli.retention.command", "retention", "Delete by age: layers, tenants, personal data."),
    "generations": ("cli.generations.group", "generations", "Generations of days, and the runs that made them."),
    "settings": ("cli.settings", "settings_command", "List all settings and their values."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sluice", prog_name="sluice")
def cli() -> None:
    """The event pipeline that never loses, never doubles and can always be replayed."""


def main(argv: list[str] | None = None) -> None:
    """Entry point. Every error of ours ends in one clear message and its documented exit code."""
    try:
        result: Any = cli.main(argv, prog_name="sluice", standalone_mode=False)
    except SluiceError as error:
        fail(error)
    except click.exceptions.Abort:
        sys.exit(ExitCode.INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    sys.exit(result if isinstance(result, int) else ExitCode.OK)


def fail(error: SluiceError) -> None:
    """Say what is wrong and what to do, and exit."""
    click.secho(f"sluice: {error.message}", fg="red", err=True)
    if error.hint:
        click.echo(f"        {error.hint}", err=True)
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
