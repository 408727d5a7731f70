"""`sluice users`, on a state folder in which nothing runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.users import users
from core.errors import ConfigError, InputError
from infra.clickhouse.access.users import Identity, Role, UserFile


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("SLUICE_CLICKHOUSE_URL", raising=False)
    return tmp_path / "state"


def ran(*arguments: str) -> Result:
    return CliRunner().invoke(users, arguments)


def made(*arguments: str) -> str:
    result = ran("create", *arguments, "--json")
    assert result.exit_code == 0, result.output
    password: str = json.loads(result.stdout)["password"]
    return password


def test_a_user_is_made_listed_and_revoked(state: Path) -> None:
    password = made("ana", "--role", "analyst")
    tenants = made("shop_reader", "--role", "tenant", "--tenant", "shop")
    file = UserFile(state / "access" / "users.json")
    assert file.check("ana", password) == Identity("ana", Role.ANALYST)
    assert file.check("shop_reader", tenants) == Identity("shop_reader", Role.TENANT, "shop")
    assert file.check("ana", tenants) is None
    listed = ran("list", "--json").stdout
    assert [json.loads(line)["name"] for line in listed.splitlines()] == ["ana", "shop_reader"]
    assert "digest" not in listed
    assert "tenant shop" in ran("list").stdout
    assert ran("revoke", "ana").exit_code == 0
    assert file.check("ana", password) is None
    assert file.check("shop_reader", tenants) is not None


def test_the_password_is_shown_once(state: Path) -> None:
    result = ran("create", "ana", "--role", "analyst")
    password = result.stdout.split()[-1]
    assert password not in (state / "access" / "users.json").read_text()
    assert password not in ran("list").output


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("create", "ana", "--role", "tenant"), ConfigError),
        (("create", "ana", "--role", "analyst", "--tenant", "shop"), ConfigError),
        (("create", "a b", "--role", "analyst"), ConfigError),
        (("create", "default", "--role", "analyst"), InputError),
        (("create", "twice", "--role", "admin"), InputError),
        (("revoke", "nobody"), InputError),
    ],
)
def test_what_cannot_be(state: Path, arguments: tuple[str, ...], error: type[Exception]) -> None:
    made("twice", "--role", "admin")
    assert isinstance(ran(*arguments).exception, error)


def test_users_of_a_server_are_made_there(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_CLICKHOUSE_URL", "https://clickhouse.example")
    assert isinstance(ran("list").exception, ConfigError)
