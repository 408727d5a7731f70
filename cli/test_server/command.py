"""`sluice test-server`: options to a server, and the line that says it is ready."""

from __future__ import annotations

import os
import secrets
from dataclasses import replace

import click
import msgspec

from core.settings import Settings


@click.command("test-server")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port; 0 is any free one. Default: SLUICE_COLLECTOR_PORT.")
@click.option("--host", default="", help="Address to listen on. Default: SLUICE_COLLECTOR_HOST.")
@click.option(
    "--strict/--lenient",
    default=True,
    show_default=True,
    help="Answer an event that breaks its contract as rejected, or as a real collector does: accepted.",
)
@click.option("--accept-any-key", is_flag=True, help="Take any tracking key for the tenant's.")
@click.option(
    "--max-events",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    help="Events kept; older ones are forgotten, but stay counted.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the ready line as JSON: url, key, pid.")
def test_server(
    *, port: int | None, host: str, strict: bool, accept_any_key: bool, max_events: int, as_json: bool
) -> None:
    """Run the pipeline in memory, for the tests of programs that send events.

    The real collector and the real stream step, without Kafka and ClickHouse. /test/all, /test/good, /test/bad and
    /test/duplicates say what was received, /test/assert checks it by example, /test/reset forgets it.
    """
    from cli.cold_server import bind, serve, url_of
    from cli.test_server.app import Options, create_test_app
    from core.lifecycle import Lifecycle
    from core.log import configure

    settings = Settings.from_env(os.environ)
    configure(process="test-server", level="warning", form=settings.log_format)
    settings = replace(settings, bootstrap_key=settings.bootstrap_key or f"slc_test_{secrets.token_urlsafe(18)}")
    lifecycle = Lifecycle("test-server")
    options = Options(strict=strict, max_events=max_events, accept_any_key=accept_any_key)
    app = create_test_app(settings, options=options, lifecycle=lifecycle)
    port = settings.collector_port if port is None else port
    with bind(host or settings.collector_host, port, another="--port") as listener:
        url = url_of(listener)

        def ready() -> None:
            lifecycle.ready()
            document = {"url": url, "key": settings.bootstrap_key, "pid": os.getpid()}
            text = f"ready: {url}  key: {settings.bootstrap_key}  (Ctrl-C ends it)"
            click.echo(msgspec.json.encode(document).decode() if as_json else text)

        serve(app, listener=listener, lifecycle=lifecycle, on_ready=ready)
