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
import select
import subprocess
import sys
import time

_CLEAN = ".kafka_cleanshutdown"  # in the data folder of a broker that ended in order
_USED = "recovery-point-offset-checkpoint"  # in that of one that ran
_EXEC_CHILD = f"{__file__.rpartition('/')[0]}/../exec_child.py"
_RUNS, _FENCING = b"Kafka Server started", b"Fencing broker"
# A broker that has not been fenced so long after the controller runs was fenced before.
_GRACE_S = 3.0
_LONGEST_S = 30.0
# From the decision until it is written.
_WRITTEN_S = 0.2
_STOP_S = 5.0


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
        said = _listen(controller.stdout.fileno(), until=began + _LONGEST_S)
        time.sleep(_WRITTEN_S)
        controller.terminate()
        try:
            controller.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            controller.kill()
    how = "was fenced" if _FENCING in said else "had been fenced" if _RUNS in said else "could not be fenced"
    sys.stdout.write(f"the broker that did not end in order {how}, {time.monotonic() - began:.1f} s\n")
    if _RUNS not in said:
        sys.stdout.write(said.decode("utf-8", "replace"))
    sys.stdout.flush()


def _listen(output: int, *, until: float) -> bytes:
    """What the controller says until it is done, ends or has had its time."""
    said = b""
    while _FENCING not in said and (left_s := until - time.monotonic()) > 0:
        if not select.select([output], [], [], left_s)[0]:
            break
        more = os.read(output, 65_536)
        if not more:
            break
        if _RUNS in more:
            until = min(until, time.monotonic() + _GRACE_S)
        said += more
    return said


if __name__ == "__main__":
    main(sys.argv)
