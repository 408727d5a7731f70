"""Plants: a batch of the spool is acknowledged when it is handed to the client, not when Kafka has it."""

import sys

if sys.orig_argv[-1:] == ["collector"]:
    import asyncio

    from collector.spool.drain import Drain
    from collector.spool.log import SpoolLog

    read = SpoolLog.read
    acknowledge = SpoolLog.acknowledge
    sent = []

    def read_and_acknowledge(self, most):
        batch = read(self, most)
        if batch is not None:
            acknowledge(self, batch)
        return batch

    async def deliver(self, batch):
        sent.append(asyncio.ensure_future(self._send(batch.records)))
        return True

    SpoolLog.read = read_and_acknowledge
    SpoolLog.acknowledge = lambda *_: None
    Drain._deliver = deliver
