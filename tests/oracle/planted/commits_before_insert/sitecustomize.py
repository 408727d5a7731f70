"""Plants: the sink commits that rows are stored before it inserts them."""

import sys

if sys.orig_argv[-1:] == ["sink"]:
    from confluent_kafka import TopicPartition

    from sinks.worker import SinkWorker

    def try_commit_plan(self, topic, partition, plan):
        return self._commit(TopicPartition(topic, partition, plan.last + 1))

    SinkWorker._try_commit_plan = try_commit_plan
