"""Who may use the API of operators: whoever has the admin token. Wrong ones are limited per client, and told."""

from __future__ import annotations

import hmac

from starlette.requests import Request

from collector import headers
from collector.abuse import AbuseLog
from collector.limits import ADMIN_PER_MINUTE, Limits
from collector.problems import RateLimitedError, UnauthorizedError
from collector.proxies import Proxies


class AdminGate:
    """An empty `token` lets nobody in."""

    def __init__(
        self, token: str, *, proxies: Proxies, limits: Limits | None = None, abuse: AbuseLog | None = None
    ) -> None:
        self._token = token.encode()
        self._proxies = proxies
        self._limits = limits
        self._abuse = abuse

    def check(self, request: Request) -> None:
        """
        Raises:
            UnauthorizedError: the token is missing or wrong.
            RateLimitedError: the client has tried too many, whatever it brings now.
        """
        address = self.address(request)
        if self._limits and (exceeded := self._limits.admin(address)):
            raise RateLimitedError(
                "too many wrong tokens",
                limit="admin",
                per_minute=ADMIN_PER_MINUTE,
                retry_after_s=exceeded.retry_after_s,
            )
        token = headers.bearer(request.headers.get("authorization", "")) or ""
        if self._token and hmac.compare_digest(token.encode("utf-8", "surrogatepass"), self._token):
            return
        if self._limits:
            self._limits.refuse_admin(address)
        if self._abuse:
            self._abuse.count("admin_token", address=address)
        raise UnauthorizedError("the admin token is missing or wrong; send `Authorization: Bearer TOKEN`")

    def address(self, request: Request) -> str:
        """The client's, whole: to be cut before it goes anywhere."""
        forwarded_for = ",".join(request.headers.getlist("x-forwarded-for"))
        return self._proxies.client(request.client.host, forwarded_for) if request.client else ""
