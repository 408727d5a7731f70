"""Run as a script: `start_broker.py DATA_DIR FENCE… -- BROKER…` becomes BROKER. Where the broker did not end in order,
FENCE runs before, until the controller holds the dead broker for gone.

A combined node that was killed starts as leader of everything, as its metadata say, and looks after transactions, until
its old session expires and it loses all leaders for a moment. Ends of transactions that are to be written in that
moment are written nowhere, and taken for written (Kafka 4.3, TransactionMarkerChannelManager: no leader, so "these
partitions are likely deleted"). Their partitions and offsets stay unstable for ever. FENCE is the same node as a
controller alone, with a session of 100 ms: it takes the leaders away while nobody looks after transactions. It costs a
second and a half, which the broker saves, for it need not wait until its old registration expires.

Imports as little as it can: it costs every start.
"""

import os
import re
import select
import subprocess
import sys
import time

_CLEAN = ".kafka_cleanshutdown"  # in the data folder of a broker that ended in order
_USED = "recovery-point-offset-checkpoint"  # in that of one that ran
_EXEC_CHILD = f"{__file__.rpartition('/')[0]}/../exec_child.py"
# What the controller's log says (`config.fence_logging_properties`), which is the only place that tells.
_ACTIVE = b"Performing controller activation"
_FENCING = b"Fencing broker"
# It looked for brokers without a session, found none, and nothing it decided before waits to be written.
_SETTLED = re.compile(rb"maybeFenceStaleBroker\(\d+\) immediately because the purgatory is empty")
# One that was not fenced in this time had been, or never came so far as to have a session.
_SESSION_S = 2.0
_LONGEST_S = 60.0
_STOP_S = 5.0
_LINE = 300


def main(argv: list[str]) -> None:
    data_dir, commands = argv[1], argv[2:]
    end = commands.index("--")
    found = os.listdir(data_dir)  # noqa: PTH208 (as said: pathlib costs more than all the rest)
    if _USED in found and _CLEAN not in found:
        _fence(commands[:end])
    broker = commands[end + 1 :]
    os.execvp(broker[0], broker)  # noqa: S606 (no shell on purpose)


def _fence(command: list[str]) -> None:
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-IS", _EXEC_CHILD, str(os.getpid()), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as controller:
        assert controller.stdout is not None  # noqa: S101 (as asked for)
        told = Told()
        while not told.done and (left_s := began + _LONGEST_S - time.monotonic()) > 0:
            if select.select([controller.stdout], [], [], left_s)[0]:
                more = os.read(controller.stdout.fileno(), 65_536)
                if not more:
                    break
                told.hear(more, at=time.monotonic())
        controller.terminate()
        try:
            controller.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            controller.kill()
    took = f"{time.monotonic() - began:.1f} s"
    sys.stdout.write(f"the broker that did not end in order {told.done or 'could not be fenced'}, {took}\n")
    if not told.done:
        sys.stdout.write(told.said.decode("utf-8", "replace"))
    sys.stdout.flush()


class Told:
    """What is known from what the controller said so far. `done` is empty until there is nothing to wait for."""

    def __init__(self) -> None:
        self.said = b""
        self.done = ""
        self._active_at = 0.0

    def hear(self, more: bytes, *, at: float) -> None:
        before = max(0, len(self.said) - _LINE)  # a line may come in two parts
        self.said += more
        fencing = self.said.find(_FENCING)
        if not self._active_at and _ACTIVE in self.said:
            self._active_at = at
        if fencing >= 0:
            self.done = "was fenced" if _SETTLED.search(self.said, fencing) else ""
        elif self._active_at and at > self._active_at + _SESSION_S and _SETTLED.search(self.said, before):
            self.done = "has no session"


if __name__ == "__main__":
    main(sys.argv)
