"""How long what is kept: by layer, by tenant, and personal data by its class.

    policy.py     what the settings ask for
    personal.py   which properties hold personal data, and the SQL that empties them
    plan.py       what there is to do, and its warnings
    marks.py      what was deleted on purpose, for those who would take it for a loss

Layers go by whole partitions, at once. A tenant's own period is a TTL of each table, which the engine applies by itself
from then on. Personal data is emptied in rows that stay.
"""
