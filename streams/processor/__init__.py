"""Processors of users: curated events in, records on topics of their own out, exactly once. docs/processors.md.

event.py        what a processor is given
emit.py         what it gives back, and how values become bytes
declaration.py  @processor and what it declares
step.py         what becomes of each record of a batch: no Kafka, so processors are tested without
worker.py       consumer, transaction, rebalance: the process
"""

from __future__ import annotations

from streams.processor.declaration import Processor, processor
from streams.processor.emit import Emit, Output
from streams.processor.event import Event

__all__ = ["Emit", "Event", "Output", "Processor", "processor"]
