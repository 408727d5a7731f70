"""Settings: the environment in, the environment out, and every way to get it wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError
from core.settings import _PARSERS, SettingRow, Settings, _parse, rows, variable

SECRETS = [row for row in rows() if row.secret]
# What a variable's text can be: no NUL, and blanks around it do not count.
TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=30).map(str.strip)


def value_of(name: str, type_: str, metadata: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    if metadata["choices"]:
        return st.sampled_from(metadata["choices"])
    match type_:
        case "int":
            return st.integers(min_value=int(metadata["minimum"] or 0), max_value=int(metadata["maximum"] or 2**40))
        case "float":
            return st.floats(min_value=metadata["minimum"], max_value=metadata["maximum"], allow_nan=False)
        case "bool":
            return st.booleans()
        case "Path":
            return TEXT.filter(bool).map(Path)
        case "str":
            return TEXT
    raise AssertionError(f"{name}: no test values for type {type_}")


ANY_SETTINGS = st.fixed_dictionaries(
    {}, optional={f.name: value_of(f.name, str(f.type), f.metadata) for f in fields(Settings)}
).map(lambda values: Settings(**values))


def test_an_empty_environment_is_the_defaults() -> None:
    assert Settings.from_env({"PATH": "/bin", "HOME": "/nowhere"}) == Settings()


@pytest.mark.parametrize(
    ("name", "text", "attribute", "value"),
    [
        ("SLUICE_TOPIC_PREFIX", " a. ", "topic_prefix", "a."),
        ("SLUICE_PARTITIONS", "32", "partitions", 32),
        ("SLUICE_DEAD_LETTER_RATIO", "0.2", "dead_letter_ratio", 0.2),
        ("SLUICE_STATE_DIR", "/srv/sluice", "state_dir", Path("/srv/sluice")),
        ("SLUICE_CLICKHOUSE_VERIFY_TLS", "0", "clickhouse_verify_tls", False),
        ("SLUICE_CLICKHOUSE_VERIFY_TLS", "False", "clickhouse_verify_tls", False),
        ("SLUICE_CLICKHOUSE_VERIFY_TLS", "off", "clickhouse_verify_tls", False),
        ("SLUICE_CLICKHOUSE_VERIFY_TLS", "YES", "clickhouse_verify_tls", True),
        ("SLUICE_KAFKA_SSL_CA_FILE", "/ca.pem", "kafka_ssl_ca_file", "/ca.pem"),  # ends like a secret's file
    ],
)
def test_each_kind_is_parsed(name: str, text: str, attribute: str, value: object) -> None:
    parsed = getattr(Settings.from_env({name: text}), attribute)
    assert parsed == value
    assert type(parsed) is type(value) or isinstance(value, Path)


def test_every_kind_that_the_table_uses_has_a_parser() -> None:
    assert {str(f.type) for f in fields(Settings)} <= set(_PARSERS)
    assert _parse("float", "2.5", "SLUICE_X", {"minimum": None, "maximum": None, "choices": ()}) == 2.5


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("SLUICE_PARTITIONS", "four", "a whole number"),
        ("SLUICE_PARTITIONS", "4.0", "a whole number"),
        ("SLUICE_PARTITIONS", "", "a whole number"),
        ("SLUICE_DEAD_LETTER_RATIO", "nan", "a number"),
        ("SLUICE_PARTITIONS", "0", "at least 1"),
        ("SLUICE_KAFKA_PORT", "-1", "at least 0"),
        ("SLUICE_STREAMS_BATCH_EVENTS", "50001", "at most 50000"),
        ("SLUICE_LOG_LEVEL", "loud", "one of debug, info"),
        ("SLUICE_KAFKA_SECURITY_PROTOCOL", "sasl_ssl", "one of PLAINTEXT"),
        ("SLUICE_CLICKHOUSE_VERIFY_TLS", "maybe", "1 or 0"),
        ("SLUICE_CLICKHOUSE_VERIFY_TLS", "", "1 or 0"),
    ],
)
def test_a_malformed_value_names_variable_and_form(name: str, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        Settings.from_env({name: text})
    assert name in refused.value.message


@pytest.mark.parametrize("f", [f for f in fields(Settings) if f.metadata["minimum"] is not None], ids=lambda f: f.name)
def test_a_bound_holds_on_both_sides(f: Any) -> None:
    minimum = f.metadata["minimum"]
    assert getattr(Settings.from_env({variable(f.name): str(minimum)}), f.name) == minimum
    with pytest.raises(ConfigError, match="at least"):
        Settings.from_env({variable(f.name): str(minimum - 1)})


def test_an_unknown_variable_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="SLUICE_KAFKA_BOTSTRAP is not a setting") as refused:
        Settings.from_env({"SLUICE_KAFKA_BOTSTRAP": "x"})
    assert "SLUICE_KAFKA_BOOTSTRAP?" in refused.value.hint


def test_an_unknown_variable_like_no_other_points_to_the_list() -> None:
    with pytest.raises(ConfigError) as refused:
        Settings.from_env({"SLUICE_QQQQQQQQQQQQQQQQ": "x"})
    assert "sluice settings" in refused.value.hint


@pytest.mark.parametrize("row", SECRETS, ids=lambda row: row.name)
def test_a_secret_may_come_from_a_file(row: SettingRow, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("gehéim\n", encoding="utf-8")
    assert getattr(Settings.from_env({f"{row.variable}_FILE": str(file)}), row.name) == "gehéim"


def test_what_is_no_secret_does_not_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "value"
    file.write_text("x")
    with pytest.raises(ConfigError, match="SLUICE_TOPIC_PREFIX_FILE is not a setting"):
        Settings.from_env({"SLUICE_TOPIC_PREFIX_FILE": str(file)})


def test_a_secret_set_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("a")
    variables = {"SLUICE_BOOTSTRAP_KEY": "a", "SLUICE_BOOTSTRAP_KEY_FILE": str(file)}
    with pytest.raises(ConfigError, match="both set"):
        Settings.from_env(variables)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"], ids=["missing", "not text"])
def test_a_secret_file_that_cannot_be_read_is_named(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        Settings.from_env({"SLUICE_BOOTSTRAP_KEY_FILE": str(file)})
    assert str(file) in refused.value.message
    assert "SLUICE_BOOTSTRAP_KEY_FILE" in refused.value.message


@given(ANY_SETTINGS)
def test_a_child_process_sees_the_same_settings(settings: Settings) -> None:
    assert Settings.from_env(settings.to_env()) == settings


def test_defaults_are_left_out_of_a_childs_environment() -> None:
    assert Settings().to_env() == {}
    assert Settings(clickhouse_verify_tls=False).to_env() == {"SLUICE_CLICKHOUSE_VERIFY_TLS": "0"}


def test_no_secret_is_in_the_repr() -> None:
    shown = repr(Settings.from_env({row.variable: "hunter2" for row in SECRETS}))
    assert "hunter2" not in shown
    assert "topic_prefix" in shown


def test_every_setting_is_documented() -> None:
    assert [row.name for row in rows()] == [f.name for f in fields(Settings)]
    for row in rows():
        assert row.help.endswith("."), row.name
        assert row.variable == f"SLUICE_{row.name.upper()}"
        assert row.name.endswith(("_ms", "_hours", "_bytes", "_mib")) <= bool(row.unit), f"{row.name} has no unit"


def test_the_documented_default_parses_to_the_default() -> None:
    for row in rows():
        if row.type != "str":
            assert getattr(Settings.from_env({row.variable: row.default}), row.name) == getattr(Settings(), row.name)


def test_what_looks_like_a_secret_is_one() -> None:
    for row in rows():
        looks = any(word in row.name for word in ("password", "secret", "bootstrap_key", "pepper", "token"))
        assert row.secret == looks, row.name
