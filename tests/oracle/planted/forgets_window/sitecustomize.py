"""Plants: a stream worker that takes a partition over knows where to continue, but not the ids seen before."""

import sys

if sys.orig_argv[-1:] == ["streams"]:
    from streams import recovery

    recovery.remember = lambda _window, _outcome, **_named: None
