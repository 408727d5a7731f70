"""Names under which Kafka tools look for the schemas of our topics."""

from __future__ import annotations

from dataclasses import fields

from core.topics import Topics

# Topic, as `core.topics.Topics` calls it, → subject of the records on it. The control topic's values are no Avro.
RECORD_OF = {
    "raw": "raw_envelope",
    "raw_historic": "raw_envelope",
    "curated": "event",
    "dead_letters": "dead_letter",
    "outcomes": "outcome",
    "audit": "audit",
    "abuse": "abuse",
    "drops": "drops",
    "restated_ids": "restated_ids",
    "restatements": "restatement",
}


def topic_subjects(topics: Topics) -> dict[str, str]:
    """`<topic>-value` (Confluent's TopicNameStrategy, the default of most tools) → our subject."""
    named = {each.name: getattr(topics, each.name) for each in fields(topics)}
    return {f"{named[topic]}-value": subject for topic, subject in RECORD_OF.items()}
