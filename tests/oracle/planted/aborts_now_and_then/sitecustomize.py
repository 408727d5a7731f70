"""A fault, no bug: every third transaction of a stream worker is aborted after everything was written."""

import sys

if sys.orig_argv[-1:] == ["streams"]:
    from tests.oracle.planted.aborting import abort_every_third

    abort_every_third()
