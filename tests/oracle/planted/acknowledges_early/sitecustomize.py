"""Plants: the collector answers before Kafka acknowledged."""

import sys

if sys.orig_argv[-1:] == ["collector"]:
    from collector.kafka import KafkaPublisher

    async def publish(self, records):
        for record in records:
            self._produce(record, lambda *_: None)
        self._wake()
        return ["early"] * len(records)

    KafkaPublisher.publish = publish
