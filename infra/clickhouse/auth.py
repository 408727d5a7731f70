"""Checks a user and password in constant time: against the one pair this front always knows, and the file of users."""

from __future__ import annotations

import hmac

from infra.clickhouse.access.users import Identity, UserFile
from infra.clickhouse.errors import ClickHouseError
from infra.clickhouse.request import Credentials


class Gate:
    def __init__(self, *, user: str, password: str, file: UserFile | None = None) -> None:
        self._user = user
        self._password = password.encode()
        self._file = file

    def check(self, given: Credentials) -> Identity:
        """Raises AUTHENTICATION_FAILED."""
        # Both are compared always: which of the two was wrong must not show, neither in words nor in time.
        user_fits = hmac.compare_digest(self._user.encode(), given.user.encode("utf-8", "surrogateescape"))
        password_fits = hmac.compare_digest(self._password, given.password.encode("utf-8", "surrogateescape"))
        if user_fits and password_fits:
            return Identity(self._user)
        known = self._file.check(given.user, given.password) if self._file is not None and not user_fits else None
        if known is None:
            message = f"{given.user}: Authentication failed: password is incorrect, or there is no user with such name."
            raise ClickHouseError(516, "AUTHENTICATION_FAILED", message)
        return known
