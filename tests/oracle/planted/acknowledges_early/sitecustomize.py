"""Plants: the collector answers before Kafka acknowledged, and hears nothing of what Kafka says afterwards."""

import sys

if sys.orig_argv[-1:] == ["collector"]:
    from collector.kafka import KafkaPublisher

    submit = KafkaPublisher.submit

    def submit_and_answer(self, records, done):
        submit(self, records, lambda _fates: None)
        done(["early"] * len(records))

    KafkaPublisher.submit = submit_and_answer
