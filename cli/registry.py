"""Our schema registry as a process, for `sluice registry` and `sluice schemas serve`."""

from __future__ import annotations

from collections.abc import Callable

from cli.cold_server import bind, serve, url_of
from core.errors import ConfigError
from core.lifecycle import Lifecycle
from core.log import get_logger
from core.settings import Settings
from core.topics import Topics
from schemas.registry_api import create_app
from schemas.reread import FollowedRegistry

log = get_logger(__name__)


def run(settings: Settings, *, another: str, on_ready: Callable[[str], None] | None = None) -> None:
    """Serve the schemas of `settings.schemas_dir` until SIGTERM or SIGINT. `on_ready` is told the URL.

    Raises:
        PortInUseError: something else listens on the port; `another` is how to choose another.
        ConfigError: the schema folder cannot be read, or the host is no address of this machine.
    """
    lifecycle = Lifecycle("registry")
    current = FollowedRegistry(settings.schemas_dir)
    app = create_app(current, topics=Topics.named(settings.topic_prefix))
    with bind(settings.registry_host, settings.registry_port, another=another) as listener:

        def ready() -> None:
            lifecycle.ready()
            log.info("registry.listening", url=url_of(listener), schemas=len(current().schemas()))
            if on_ready is not None:
                on_ready(url_of(listener))

        serve(app, listener=listener, lifecycle=lifecycle, on_ready=ready)


def refuse_beside_another(settings: Settings) -> None:
    """Raises ConfigError if an external registry is set: ours answers with other ids than the topics name."""
    if settings.schema_registry_url:
        raise ConfigError(
            "SLUICE_SCHEMA_REGISTRY_URL is set: topics name that registry's ids, and ours would answer with others",
            hint="Point Kafka tools at that registry. `sluice schemas serve` shows the schemas of a folder.",
        )
