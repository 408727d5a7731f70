"""Generations: a day's rows, in the base and all rollups, written anew beside the old ones and shown by one insert.

A day (the UTC day of arrival) is the union of its visible generations. Each row of a day is in one of them.

    record.py       the table `generations`: what is visible, what is live, which run holds a day
    handover.py     live rows go to a new generation, and the old ones stand still
    cut.py          the same without a run, to look at a day that rows come in to
    staging.py      a hidden generation of a day: carried over, restated, verified
    restatement.py  the run: begin, publish, roll back, drop
    pruning.py      generations that nobody will ask for again leave the disk

How a day is restated:

1. The run claims the day and opens two generations with one insert: N, hidden, and a tail T, visible, which takes the
   live rows from now on.
2. Sinks say in their plan which generation they insert into, and look again after the plan is committed. So once every
   plan that was there at step 1 is gone, nobody inserts into what was visible before: it stands still. Nothing waits.
3. N is filled from it, at leisure, and verified.
4. One insert shows N and hides what it replaces, for all days of the run, base and rollups. T stays.
5. Rolling back is the same insert the other way round. Rows that came live meanwhile are in T and stay.

Killed anywhere, readers see the day before or the day after. A run that goes on takes a new N for days that it had not
verified, so that an insert of its former life that still runs writes where nobody looks.
"""
