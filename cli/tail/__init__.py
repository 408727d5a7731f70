"""Watching events as they get their outcome: what `sluice tail` shows and `sluice send` waits for.

A reader beside the pipeline: it belongs to no group, commits nothing and changes nothing.

    sighting.py   one event with its outcome, decoded from whichever topic told of it
    follow.py     the topics, followed without a group
    repeats.py    which raw offsets of an outcome are duplicates
    raw.py        raw records by offset: what a duplicate was
    filters.py    which events are wanted
    since.py      where to begin
    safe_text.py  text that strangers wrote, made safe for a terminal
    render.py     one line an event
    command.py    the command
"""
