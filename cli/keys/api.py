"""The API that manages keys, as a client: one collector, one admin token."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from cli.endpoints import resolve
from cli.tail.safe_text import shown
from collector.control import TOKEN_FILE
from collector.key_admin import PATH
from core.errors import ConfigError, InputError, RefusedError, UnavailableError
from core.settings import Settings

# Longer than a collector waits for Kafka to store an entry.
_TIMEOUT = urllib3.Timeout(connect=5.0, read=20.0)


class _Problem(msgspec.Struct, frozen=True):
    detail: str = ""
    field: str = ""


class KeyApi:
    """Raises ConfigError if no collector or no token is known."""

    def __init__(self, settings: Settings) -> None:
        self._url = resolve(settings).collector_url.rstrip("/")
        if not self._url:
            raise ConfigError("no collector is named", hint="Set SLUICE_COLLECTOR_URL.")
        self._token = settings.admin_token or _kept_token(settings)

    @classmethod
    def of_environment(cls) -> KeyApi:
        return cls(Settings.from_env(os.environ))

    def get(self, *parts: str, **query: str) -> Any:
        """Raises as `post`."""
        return self._request("GET", parts, query=query)

    def post(self, *parts: str, body: dict[str, Any]) -> Any:
        """The decoded answer.

        Raises:
            UnavailableError: the collector does not answer, or cannot do it now.
            InputError: it knows no such key, or does not take what was asked for.
            RefusedError: it does not take the admin token.
        """
        return self._request("POST", parts, body=body)

    def _request(
        self, method: str, parts: tuple[str, ...], *, query: dict[str, str] | None = None, body: Any = None
    ) -> Any:
        url = self._url + PATH + "".join(f"{quote(part, safe='')}/" for part in parts)
        try:
            answer = urllib3.request(
                method,
                url,
                fields=query,
                body=None if body is None else msgspec.json.encode(body),
                headers={"Authorization": f"Bearer {self._token}", "User-Agent": "sluice-keys"},
                timeout=_TIMEOUT,
                retries=False,
            )
        except HTTPError as error:
            raise UnavailableError(
                f"the collector at {self._url} does not answer: {error}", hint="`sluice status` says what runs."
            ) from error
        if answer.status >= 400:
            raise _error(answer.status, answer.data)
        try:
            return msgspec.json.decode(answer.data)
        except msgspec.DecodeError as error:
            raise RefusedError(f"{self._url} does not answer as a collector") from error


def _error(status: int, content: bytes) -> Exception:
    try:
        problem = msgspec.json.decode(content, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        problem = _Problem()
    said = shown(f"{problem.field}: {problem.detail}" if problem.field else problem.detail or f"HTTP {status}")
    if status == 401:
        return RefusedError(said, hint="SLUICE_ADMIN_TOKEN, or the state folder's own, must be the collector's.")
    if status in {429, 503}:
        return UnavailableError(said)
    return InputError(said)


def _kept_token(settings: Settings) -> str:
    path = settings.state_dir / TOKEN_FILE
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"no admin token: SLUICE_ADMIN_TOKEN is not set and {path} cannot be read",
            hint="A collector makes the file when it starts. SLUICE_STATE_DIR names its state folder.",
        ) from error
