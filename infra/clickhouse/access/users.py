"""Names, roles and password hashes of the front's users, in one file; read again whenever it changed.

Passwords are made here, from 192 random bits, and shown once. So a salted SHA-256 is enough to keep a stolen file
useless, and cheap enough for every request; a slow hash is for passwords that people choose.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import logging
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

import msgspec

from core.errors import ConfigError, StateError
from infra import documents

log = logging.getLogger(__name__)

FILE_NAME: Final = "users.json"
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_TENANT: Final = re.compile(r"[!-~]{1,128}")


class Role(Enum):
    ADMIN = "admin"  # everything, as the user `default`
    ANALYST = "analyst"  # reads the views of all tenants, none with raw bytes
    TENANT = "tenant"  # reads the views, rows of one tenant only


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sent a request. `tenant` is empty for all but tenants."""

    user: str
    role: Role = Role.ADMIN
    tenant: str = ""


class User(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the file. `salt` and `digest` are hexadecimal; `created_at` is seconds since 1970."""

    name: str
    role: Role
    tenant: str
    salt: str
    digest: str
    created_at: int


def make(name: str, role: Role, *, tenant: str = "") -> tuple[User, str]:
    """A user and the password, which is stored nowhere.

    Raises:
        ConfigError: a name or tenant that cannot be one.
    """
    _require(name, _NAME, "user name")
    if role is Role.TENANT:
        _require(tenant, _TENANT, "tenant")
    elif tenant:
        raise ConfigError(f"a user with the role {role.value} belongs to no tenant")
    password = secrets.token_urlsafe(24)
    salt = secrets.token_hex(16)
    return User(name, role, tenant, salt, _digest(salt, password), int(time.time())), password


def read(path: Path) -> tuple[User, ...]:
    """None where there is no file. Raises `StateError` for one that cannot be read."""
    return tuple(documents.read_json(path, list[User]) or ())


def write(path: Path, users: Iterable[User]) -> None:
    documents.write_json(path, sorted(users, key=lambda user: user.name))


@contextmanager
def edited(path: Path) -> Iterator[dict[str, User]]:
    """The users by name, to be changed; written back at the end, while no other process does the same."""
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = {user.name: user for user in read(path)}
        yield known
        write(path, known.values())


@dataclass(slots=True)
class UserFile:
    """The users as the file says now; none while it cannot be read."""

    path: Path
    _stamp: tuple[int, int, int] | None = None
    _users: dict[str, User] = field(default_factory=dict)

    def check(self, name: str, password: str) -> Identity | None:
        """Takes the same time for a name that is not there."""
        self._refresh()
        user = self._users.get(name, _NOBODY)
        fits = hmac.compare_digest(user.digest, _digest(user.salt, password))
        return Identity(user.name, user.role, user.tenant) if fits and user is not _NOBODY else None

    def _refresh(self) -> None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self._users, self._stamp = {}, None
            return
        stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
        if stamp != self._stamp:
            self._users, self._stamp = {}, stamp
            try:
                self._users = {user.name: user for user in read(self.path)}
            except StateError as error:
                log.error("clickhouse.users_unreadable", extra={"reason": str(error)})  # noqa: TRY400  it says it all


_NOBODY: Final = User("", Role.TENANT, "", "", "0" * 64, 0)


def _digest(salt: str, password: str) -> str:
    return hashlib.sha256(f"{salt}:{password}".encode("utf-8", "surrogateescape")).hexdigest()


def _require(value: str, pattern: re.Pattern[str], what: str) -> None:
    if not pattern.fullmatch(value):
        raise ConfigError(f"not a {what}: {value!r}; it must match {pattern.pattern}")
