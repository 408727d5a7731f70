"""The exception tree. Every error that leaves a room is one of these, so that callers decide by class, never by text.

    SluiceError
    ├── ConfigError            a setting is missing, unknown or malformed
    ├── UsageError             the command was called wrongly
    ├── InputError             a file or event that the user gave cannot be used
    ├── StateError             the state folder cannot be used as it is
    │   ├── StateLockedError   a live process holds it
    │   └── PortInUseError     something else listens on the port
    ├── DiskFullError          no room left to write
    ├── UnavailableError       a dependency does not answer now; trying later may work
    │   └── SlowDownError      typed backpressure: try again after `retry_after`
    ├── RefusedError           a dependency answered and said no; the same request will be refused again
    └── InvariantError         a promise of ours does not hold; stop before it costs data

Nothing here decides what to do about an error: exit codes are applied by `cli`, HTTP answers by `collector`.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every `sluice` command, after BSD's sysexits(3). Documented in docs/cli.md."""

    OK = 0
    DIFFERENCE = 1  # a check ran and found a difference
    USAGE = 64
    INPUT = 65
    UNAVAILABLE = 69
    INTERNAL = 70
    STATE = 73
    DISK_FULL = 74
    LOCKED = 75
    CONFIG = 78
    INTERRUPTED = 130


class SluiceError(Exception):
    """Base of all errors of ours.

    `code` is the machine-readable name, `retryable` says whether the same call may work later,
    `http_status` is the answer an HTTP client gets, `exit_code` what a command ends with.
    """

    code = "internal"
    retryable = False
    http_status = 500
    exit_code = ExitCode.INTERNAL

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(SluiceError):
    code = "config"
    exit_code = ExitCode.CONFIG


class UsageError(SluiceError):
    code = "usage"
    http_status = 400
    exit_code = ExitCode.USAGE


class InputError(SluiceError):
    code = "input"
    http_status = 400
    exit_code = ExitCode.INPUT


class StateError(SluiceError):
    code = "state"
    exit_code = ExitCode.STATE


class StateLockedError(StateError):
    code = "state_locked"
    retryable = True
    exit_code = ExitCode.LOCKED


class PortInUseError(StateError):
    code = "port_in_use"
    retryable = True


class DiskFullError(SluiceError):
    code = "disk_full"
    retryable = True
    http_status = 503
    exit_code = ExitCode.DISK_FULL


class UnavailableError(SluiceError):
    code = "unavailable"
    retryable = True
    http_status = 503
    exit_code = ExitCode.UNAVAILABLE


class SlowDownError(UnavailableError):
    """Typed backpressure. `retry_after` is in seconds."""

    code = "slow_down"
    http_status = 429

    def __init__(self, message: str, *, retry_after: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class RefusedError(SluiceError):
    code = "refused"
    http_status = 400
    exit_code = ExitCode.INPUT


class InvariantError(SluiceError):
    code = "invariant"
