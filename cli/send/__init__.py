"""Sending events through the real door and telling what became of each: `sluice send`.

What became of an event is read where everyone can read it; the pipeline is not asked for favours.

    source.py    events from a file, standard input or options; each with an id to follow it by
    door.py      the collector over HTTP
    fate.py      what is known of one event by now
    tracking.py  outcomes, rows and first sightings to the events that were sent
    rows.py      what ClickHouse has of them
    advice.py    what to do about a fault
    report.py    fates to text and JSON
    command.py   the command
"""
