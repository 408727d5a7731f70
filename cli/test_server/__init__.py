"""The pipeline in memory, for the tests of programs that send events: real collector, real stream step, no engines.

What an event is judged by is the collector's and the streams' own code; here it is only observed.

    publisher.py   takes the collector's records through the stream step
    recorder.py    sees each request and its answer; tells what the collector itself refused
    item.py        one event and what became of it
    store.py       the events, bounded
    selection.py   query parameters to a filter
    matching.py    whether a value has the form of an example, and where not
    assertion.py   examples against everything that was received
    routes.py      `/test/…`
    app.py         all of it as one application
    keys.py        a key that is any key
    command.py     the command
"""
