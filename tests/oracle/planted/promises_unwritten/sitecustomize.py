"""Plants: the spool answers before it writes; what it has promised is in memory until some commits later."""

import sys

if sys.orig_argv[-1:] == ["collector"]:
    from collector.spool.log import SpoolLog

    commit = SpoolLog.commit
    calls = [0]

    def commit_late(self):
        calls[0] += 1
        if calls[0] % 50 == 0:
            commit(self)

    SpoolLog.commit = commit_late
