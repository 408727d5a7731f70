"""`sluice up` and its companions: the whole stack in one terminal or in the background, looked at, read and stopped.

words.py       quantities as people read them
snapshot.py    what is known of a running stack at one moment: the one model that everything below shows
processes.py   the processes, as their supervisor tells of them
poller.py      asks one source again and again on a thread of its own, so that none can hold up the view
figures.py     the sources: offsets, outcomes, rows, disk
trends.py      rates and what grows, from the figures of the last minute
problems.py    what is wrong, in words
monitor.py     puts a snapshot together
view.py        a snapshot as lines of a given width
screens.py     where snapshots go: a terminal, plain lines, JSON lines
reporter.py    takes a snapshot twice a second and hands it on
document.py    the status document that other processes read
holder.py      who runs on a state folder
interruption.py  the first signal drains, the second ends at once
command.py     `sluice up`
detach.py      `sluice up --detach`
status.py, logs.py, down.py, reset.py   the commands beside it
log_lines.py   lines of log files as records, merged
"""
