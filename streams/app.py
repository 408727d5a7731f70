"""The Faust app: owns the engine's threads, the control agent, supervision and the worker's life.

`faust -A streams.app worker -l info` runs it, as does `sluice streams`. Batches reach Faust as one object each on a
bounded channel: an event at a time costs Faust 70 µs, a batch costs nothing. What an event becomes is not decided
here.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import faust
from mode.utils.queues import FlowControlEvent, ThrowableQueue

from core.lifecycle import Lifecycle, die
from core.log import get_logger
from core.settings import Settings
from core.topics import Topics
from schemas.contracts import Contracts
from schemas.registry import registry_at
from streams.control import WorkerControl
from streams.engine import Batch, StreamEngine
from streams.ingest import ingest_service

log = get_logger(__name__)

# Batches waiting for the one in hand. Two keep the consumer busy; more would only hold memory.
_QUEUED_BATCHES = 2


class BatchChannel(faust.Channel):  # type: ignore[type-arg]  # not subscriptable at run time
    """Batches on their way to the agent. A rebalance of Faust's own group empties its channels and suspends them: what
    was consumed would be lost, and whoever waits for room would wait for ever.
    """

    @property
    def queue(self) -> Any:
        if self._queue is None:
            flowing = FlowControlEvent(initially_suspended=False)
            self._queue = ThrowableQueue(maxsize=self.maxsize, flow_control=flowing)
        return self._queue


def create_app(settings: Settings, *, lifecycle: Lifecycle | None = None) -> faust.App:
    """The Faust app of one stream worker. Connects to nothing until it is started."""
    topics = Topics.named(settings.topic_prefix)
    app = faust.App(
        f"{settings.topic_prefix}streams.control.{settings.streams_worker_id}",
        broker=[f"kafka://{address.strip()}" for address in settings.kafka_bootstrap.split(",")],
        broker_credentials=_credentials(settings),
        datadir=str(settings.state_dir / f"faust-{settings.streams_worker_id}"),
        store="memory://",
        topic_disable_leader=True,
        topic_allow_declare=False,  # every topic is applied before a worker starts
        web_enabled=settings.streams_web_port > 0,
        web_bind="127.0.0.1",
        web_port=settings.streams_web_port or 6066,
        worker_redirect_stdouts=False,
        # Faust starts services only after its own group has settled. With its defaults a killed worker's successor
        # waits a minute for the dead member.
        consumer_group_instance_id=f"{settings.topic_prefix}streams.control.{settings.streams_worker_id}",
        broker_session_timeout=8.0,
        broker_heartbeat_interval=1.0,
        broker_rebalance_timeout=15.0,
    )
    batches: Any = BatchChannel(app, maxsize=_QUEUED_BATCHES)
    control: Any = app.topic(
        topics.control, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
    )
    registry = registry_at(settings.schemas_dir)
    engine = StreamEngine(settings, contracts=Contracts(registry))
    commands = WorkerControl(settings, engine, registry)
    work = ThreadPoolExecutor(1, thread_name_prefix="streams-work")

    app.service(ingest_service(engine, commands, batches, lifecycle or Lifecycle("streams")))

    @app.agent(batches, concurrency=1)
    async def curate(stream: Any) -> None:
        """Gives every record of a batch its outcome, in one transaction."""
        loop = asyncio.get_running_loop()
        async for batch in stream:
            try:
                await loop.run_in_executor(work, engine.handle, batch)
            except Exception:  # noqa: BLE001 (Faust would acknowledge the batch and go on)
                die("streams.batch_failed", records=_size(batch))

    @app.agent(control)
    async def note(stream: Any) -> None:
        """Logs each command. What it says is followed elsewhere: `streams.control`."""
        async for key, value in stream.items():
            log.info("streams.control", key=(key or b"").decode("utf-8", "replace"), bytes=len(value or b""))

    return app


def _size(batch: object) -> int:
    return batch.records if isinstance(batch, Batch) else 0


def _credentials(settings: Settings) -> Any:
    protocol = settings.kafka_security_protocol
    if protocol == "PLAINTEXT":
        return None
    context = None
    if protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=settings.kafka_ssl_ca_file or None)
        if settings.kafka_ssl_certificate_file:
            context.load_cert_chain(
                settings.kafka_ssl_certificate_file,
                settings.kafka_ssl_key_file or None,
                settings.kafka_ssl_key_password or None,
            )
    if protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=settings.kafka_sasl_username,
            password=settings.kafka_sasl_password,
            mechanism=settings.kafka_sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context)


def __getattr__(name: str) -> faust.App:
    # `faust -A streams.app` looks for `app`; importing this module must stay free of settings.
    if name == "app":
        app = create_app(Settings.from_env(os.environ))
        globals()["app"] = app
        return app
    raise AttributeError(name)
