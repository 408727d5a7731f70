"""Run as a script: `exec_child.py PARENT_PID COMMAND…` becomes COMMAND, which gets SIGTERM when its parent dies.

A process of its own because the wish must be expressed between fork and exec, and running Python there
(`preexec_fn`) can deadlock in a parent with threads. Imports as little as it can: it costs every start. Elsewhere
than on Linux the wish cannot be expressed, and the command runs without it.
"""

import os
import sys

_PR_SET_PDEATHSIG = 1
_SIGTERM = 15
_CANNOT_EXEC = 127  # what shells answer


def main(argv: list[str]) -> int:
    parent, command = int(argv[1]), argv[2:]
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGTERM, 0, 0, 0)
        # It may have died before the call above, and then no signal ever comes.
        if os.getppid() != parent:
            return _SIGTERM
    try:
        os.execvp(command[0], command)  # noqa: S606 (no shell on purpose)
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be run: {error.strerror}\n")
        return _CANNOT_EXEC


if __name__ == "__main__":
    sys.exit(main(sys.argv))
