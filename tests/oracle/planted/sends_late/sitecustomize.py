"""A fault, no bug: a stream worker's records stay in its memory until it commits, as with a slow network."""

import sys

if sys.orig_argv[-1:] == ["streams"]:
    from core import kafka

    transactional_producer = kafka.transactional_producer

    def lingering(settings, **named):
        return transactional_producer(settings, **named) | {"linger.ms": 9_000}

    kafka.transactional_producer = lingering
