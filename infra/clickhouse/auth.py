"""Checks a user and password against the one pair this front knows, in constant time."""

from __future__ import annotations

import hmac

from infra.clickhouse.errors import ClickHouseError
from infra.clickhouse.request import Credentials


class Gate:
    def __init__(self, *, user: str, password: str) -> None:
        self._user = user.encode()
        self._password = password.encode()

    def check(self, given: Credentials) -> None:
        # Both are compared always: which of the two was wrong must not show, neither in words nor in time.
        user_fits = hmac.compare_digest(self._user, given.user.encode("utf-8", "surrogateescape"))
        password_fits = hmac.compare_digest(self._password, given.password.encode("utf-8", "surrogateescape"))
        if not (user_fits and password_fits):
            message = f"{given.user}: Authentication failed: password is incorrect, or there is no user with such name."
            raise ClickHouseError(516, "AUTHENTICATION_FAILED", message)
