"""What librdkafka says, as log lines of ours. Each client would write to stderr itself, 25 lines a second of one that
cannot reach its broker (librdkafka with sparse connections tries a known address again without backing off).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from core.log import get_logger

log = get_logger(__name__)

EVERY_S = 30.0


class ClientLog:
    """The `logger` of confluent-kafka clients: one line for each client and kind in half a minute, with the count of
    those left out. Commands that set up no log are silent: their own errors say that Kafka is away.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[tuple[str, str], tuple[float, int]] = {}

    def log(self, level: int, _template: str, kind: str, client: str, text: str) -> None:
        """As confluent-kafka calls it, in whichever thread polls the client: a count may be off by one there."""
        if not logging.getLogger().hasHandlers():
            return
        now = self._clock()
        since, left_out = self._told.get((kind, client), (-EVERY_S, 0))
        if now - since < EVERY_S:
            self._told[kind, client] = (since, left_out + 1)
            return
        self._told[kind, client] = (now, 0)
        say = log.error if level >= logging.CRITICAL else log.warning
        say("kafka.client", client=client, kind=kind, text=text, left_out=left_out)


CLIENT_LOG = ClientLog()
