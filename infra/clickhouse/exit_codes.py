"""Exit codes of the front process, after BSD's sysexits(3). Nothing else here names an exit code."""

from __future__ import annotations

from typing import Final

OK: Final = 0
USAGE: Final = 64  # the command line or the password file cannot be used
INTERNAL: Final = 70  # the engine did not open, or something of ours broke
PORT_IN_USE: Final = 73
FOLDER_LOCKED: Final = 75  # another live process holds the data folder
INTERRUPTED: Final = 130  # a second SIGTERM or SIGINT: gone at once, nothing closed
