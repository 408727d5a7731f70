"""Readers with a role: what each may see, and every way around it that is known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra import documents
from infra.clickhouse.access import rights, users
from infra.clickhouse.access.rights import Rights
from infra.clickhouse.access.users import Role, User
from tests.infra.clickhouse.front import Front, Reply

RIGHTS = Rights(
    database="shop",
    views={
        "analyst": ["events", "daily", "letters", r"v_.*(?<!_pii)"],
        "tenant": ["events", "daily", r"v_.*(?<!_pii)"],
    },
    reads={
        "analyst": ["log", "daily_log", "letters_log", "hidden", "generations", "events", "daily", "letters", "v_*"],
        "tenant": ["log", "daily_log", "hidden", "generations", "events", "daily", "v_*"],
    },
    by_tenant=["log", "daily_log"],
)
TABLES = [
    "CREATE DATABASE shop",
    (
        "CREATE TABLE shop.log (tenant LowCardinality(String), day Date, n UInt32, secret String) "
        "ENGINE = MergeTree PARTITION BY day ORDER BY (tenant, n)"
    ),
    (
        "CREATE TABLE shop.daily_log (tenant String, day Date, c SimpleAggregateFunction(sum, UInt64)) "
        "ENGINE = AggregatingMergeTree ORDER BY (tenant, day)"
    ),
    (
        "CREATE MATERIALIZED VIEW shop.fill TO shop.daily_log AS "
        "SELECT tenant, day, count() AS c FROM shop.log GROUP BY tenant, day"
    ),
    "CREATE TABLE shop.generations (day Date, visible UInt8) ENGINE = MergeTree ORDER BY day",
    "CREATE VIEW shop.hidden AS SELECT day FROM shop.generations WHERE NOT visible",
    "CREATE VIEW shop.events AS SELECT * FROM shop.log WHERE day NOT IN (SELECT day FROM shop.hidden)",
    "CREATE VIEW shop.daily AS SELECT tenant, day, sum(c) AS c FROM shop.daily_log GROUP BY tenant, day",
    "CREATE VIEW shop.v_page AS SELECT tenant, n FROM shop.events",
    "CREATE VIEW shop.v_page_pii AS SELECT * FROM shop.events",
    "CREATE TABLE shop.letters_log (tenant String, raw String) ENGINE = MergeTree ORDER BY tenant",
    "CREATE VIEW shop.letters AS SELECT * EXCEPT (raw) FROM shop.letters_log",
    "CREATE TABLE shop.raw (value String) ENGINE = MergeTree ORDER BY value",
    "CREATE VIEW shop.raw_archive AS SELECT * FROM shop.raw",
    (
        "INSERT INTO shop.log SELECT if(number < 1000, 'acme', 'bob'), '2026-01-02', number, "
        "if(number < 1000, 'fine', 'bobs secret') FROM numbers(3000)"
    ),
    "INSERT INTO shop.letters_log VALUES ('acme', 'raw bytes'), ('bob', 'raw bytes')",
    "INSERT INTO shop.raw VALUES ('raw bytes')",
    (
        "CREATE DICTIONARY shop.words (n UInt32, secret String) PRIMARY KEY n "
        "SOURCE(CLICKHOUSE(QUERY 'SELECT n, secret FROM shop.log')) LIFETIME(0) LAYOUT(HASHED())"
    ),
    "CREATE TABLE shop.joined (n UInt32, secret String) ENGINE = Join(ANY, LEFT, n)",
    "INSERT INTO shop.joined SELECT n, secret FROM shop.log",
]


class Reader:
    def __init__(self, front: Front, name: str, password: str) -> None:
        self._front = front
        self._headers = {"X-ClickHouse-User": name, "X-ClickHouse-Key": password}

    def post(self, sql: str, **parameters: Any) -> Reply:
        return self._front.post(sql, headers=self._headers, **parameters)

    def value(self, sql: str, **parameters: Any) -> str:
        reply = self.post(sql, **parameters)
        assert reply.status == 200, reply.text
        return reply.text.strip()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("shop")
    access = folder / "access"
    access.mkdir()
    documents.write_json(access / rights.FILE_NAME, RIGHTS)
    with Front(folder / "data", {"access": str(access)}) as front:
        for sql in TABLES:
            reply = front.post(sql)
            assert reply.status == 200, reply.text
        yield front


def made(front: Front, name: str, role: Role, tenant: str = "") -> Reader:
    user, password = users.make(name, role, tenant=tenant)
    path = Path(front.options["access"]) / users.FILE_NAME
    users.write(path, (*(known for known in users.read(path) if known.name != name), user))
    return Reader(front, name, password)


@pytest.fixture(scope="module")
def acme(shop: Front) -> Reader:
    return made(shop, "acme_reader", Role.TENANT, "acme")


@pytest.fixture(scope="module")
def bob(shop: Front) -> Reader:
    return made(shop, "bob_reader", Role.TENANT, "bob")


@pytest.fixture(scope="module")
def analyst(shop: Front) -> Reader:
    return made(shop, "ana", Role.ANALYST)


@pytest.fixture(params=["acme", "analyst"])
def reader(request: pytest.FixtureRequest, acme: Reader, analyst: Reader) -> Reader:
    return acme if request.param == "acme" else analyst


@pytest.mark.parametrize(
    ("sql", "mine", "all_of_it"),
    [
        ("SELECT count() FROM events", "1000", "3000"),
        ("SELECT count() FROM shop.events", "1000", "3000"),
        ("SELECT count() FROM `shop` . `events`", "1000", "3000"),
        ("SELECT sum(c) FROM daily", "1000", "3000"),
        ("SELECT max(n) FROM v_page", "999", "2999"),
        ("SELECT uniqExact(tenant) FROM events", "1", "2"),
        ("SELECT count() FROM events AS a JOIN shop.v_page AS b USING (n)", "1000", "3000"),
        ("SELECT count() FROM events WHERE n IN (SELECT n + 1000 FROM events)", "0", "2000"),
        ("WITH (SELECT max(n) FROM events) AS m SELECT m", "999", "2999"),
        ("SELECT count() FROM view(SELECT * FROM events)", "1000", "3000"),
        ("SELECT count() FROM (SELECT 1 FROM events UNION ALL SELECT 1 FROM daily)", "1001", "3002"),
        ("SELECT count() FROM events FINAL", "1000", "3000"),
        ("SELECT groupUniqArray(secret) FROM events WHERE n < 2000 AND secret != 'fine'", "[]", "['bobs secret']"),
        ("EXISTS TABLE shop.raw", "0", "0"),
    ],
)
def test_each_reads_its_own(acme: Reader, analyst: Reader, sql: str, mine: str, all_of_it: str) -> None:
    assert (acme.value(sql), analyst.value(sql)) == (mine, all_of_it)


def test_tenants_do_not_share_a_cache(acme: Reader, bob: Reader) -> None:
    for _ in range(3):
        for reader, count in ((acme, "0"), (bob, "2000")):
            assert reader.value("SELECT count() FROM events WHERE secret = 'bobs secret'") == count


@pytest.mark.parametrize(
    "sql",
    [
        # Expressions that fail, or count, on a row of others
        "SELECT count() FROM events WHERE throwIf(secret = 'bobs secret') = 0",
        "SELECT count() FROM events WHERE throwIf(tenant = 'bob', 'there is one') = 0 AND n > 0",
        "SELECT sum(throwIf(tenant = 'bob')) FROM events",
        "SELECT countIf(throwIf(n >= 1000) = 0) FROM v_page",
        "SELECT max(throwIf(tenant = 'bob')) OVER () FROM events LIMIT 1",
        "SELECT count() FROM events WHERE 1 / (n >= 1000) = 0 OR intDiv(1, n < 1000) = 1",
        "SELECT n FROM events ORDER BY throwIf(tenant = 'bob'), n DESC LIMIT 1",
        "SELECT count() FROM events AS a LEFT JOIN daily AS b ON throwIf(a.tenant = 'bob') = 0 AND a.day = b.day",
        "SELECT count() FROM events GROUP BY throwIf(secret = 'bobs secret')",
        "SELECT 1 FROM events LIMIT 1 BY throwIf(tenant = 'bob')",
        "SELECT quantile(n) FROM events SAMPLE 0.5",
    ],
)
def test_no_expression_sees_a_row_of_others(acme: Reader, analyst: Reader, sql: str) -> None:
    if "throwIf" in sql:
        assert analyst.post(sql).code == 395, "it would not show the leak"
    reply = acme.post(sql)
    assert "bobs" not in reply.text
    assert reply.code in (0, 141), reply.text  # SAMPLING_NOT_SUPPORTED


@pytest.mark.parametrize(
    "sql",
    [
        # Tables and databases of others, by every name
        "SELECT * FROM shop.raw",
        "SELECT * FROM raw_archive",
        "SELECT * FROM shop.log",
        "SELECT * FROM shop.letters_log",
        "SELECT * FROM shop.v_page_pii",
        "SELECT * FROM shop.words",
        "SELECT * FROM `sh\\x6fp`.raw",
        "SELECT 1 IN shop.raw",
        "SELECT * FROM events WHERE secret IN shop.raw",
        "SELECT * FROM {t:Identifier}",
        "SELECT * FROM {d:Identifier}.processes",
        "SHOW CREATE TABLE shop.log",
        "DESCRIBE TABLE shop.raw",
        # Dictionaries and joins
        "SELECT dictGet('shop.words', 'secret', toUInt64(2000))",
        "SELECT dictGetString('shop.words', 'secret', toUInt64(2000))",
        "SELECT * FROM dictionary('shop.words')",
        "SELECT joinGet('shop.joined', 'secret', toUInt32(2000))",
        # Table functions
        "SELECT * FROM merge('shop', 'log')",
        "SELECT * FROM merge('shop_tenant|shop_analyst|shop', '.*')",
        "SELECT * FROM `merge`('shop', 'log')",
        "SELECT * FROM merge/* */('system', 'processes')",
        "SELECT * FROM eval('SELECT * FROM system.processes')",
        "SELECT * FROM remote('127.0.0.1', shop.log)",
        "SELECT * FROM cluster('default', shop.log)",
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
        "SELECT * FROM file('/etc/hostname', 'LineAsString')",
        "SELECT * FROM s3('http://127.0.0.1:1/x', 'CSV')",
        "SELECT * FROM executable('id', 'TSV', 'a String')",
        "SELECT * FROM python('x')",
        "SELECT * FROM loop(shop.raw)",
        "SELECT * FROM mergeTreeIndex('shop', 'log')",
        "SELECT * FROM mergeTreeProjection('shop', 'log', 'x')",
        "SELECT * FROM view(SELECT * FROM shop.raw)",
        "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT 1))",
        "SELECT * FROM sqlite('/etc/passwd', 'x')",
        "SELECT * FROM input('a String')",
        "DESCRIBE TABLE file('/etc/hostname', 'LineAsString')",
        # Functions that reach out
        "SELECT file('/etc/hostname')",
        "SELECT FILE ('/etc/hostname')",
        "SELECT `file`('/etc/hostname')",
        "SELECT \"file\"('/etc/hostname')",
        "SELECT `fi\\x6ce`('/etc/hostname')",
        "SELECT arrayMap(x -> file(x), ['/etc/hostname'])",
        "SELECT filesystemAvailable()",
        "SELECT hasColumnInTable('shop', 'log', 'secret')",
        "SELECT getServerSetting('path')",
        "SELECT aiGenerate('x')",
        # Files by name
        "SELECT * FROM default.`/etc/hostname`",
        "SELECT * FROM '/etc/hostname'",
        'SELECT * FROM "/etc/hostname"',
        "SELECT 1 INTO OUTFILE '/tmp/leak'",
        # What others do
        "SELECT * FROM system.processes",
        "SELECT * FROM system . `processes`",
        'SELECT * FROM "system".processes',
        "SELECT * FROM system.parts",
        "SELECT * FROM system.errors",
        "SELECT * FROM system.query_cache",
        "SELECT * FROM system.dictionaries",
        "SELECT * FROM system.part_log",
        "SHOW PROCESSLIST",
        "KILL QUERY WHERE 1",
        # Settings, roles, sessions, writes
        "SET readonly = 0",
        "SET ROLE sluice_admin",
        "SET max_threads = 1",
        "SELECT count() FROM events SETTINGS stream_like_engine_insert_queue = 'bob'",
        "SELECT count() FROM events SETTINGS readonly = 0",
        "SELECT count() FROM events SETTINGS additional_table_filters = {'shop.log': '1'}",
        "USE shop",
        "EXECUTE AS default SELECT 1",
        "EXECUTE AS sluice_analyst SELECT 1",
        "INSERT INTO events VALUES ('acme', today(), 1, '')",
        "INSERT INTO shop.log SELECT * FROM events",
        "WITH 1 AS x INSERT INTO shop.log SELECT * FROM events",
        "CREATE TABLE t (a Int8) ENGINE = Memory",
        "CREATE TEMPORARY TABLE t (a Int8)",
        "CREATE OR REPLACE VIEW events AS SELECT 1",
        "CREATE FUNCTION f AS x -> x",
        "ALTER TABLE events MODIFY COMMENT 'x'",
        "DROP VIEW events",
        "SYSTEM FLUSH LOGS",
        "BACKUP DATABASE shop TO File('x')",
        "GRANT sluice_admin TO default",
        "SELECT 1; DROP TABLE shop.log",
        "EXPLAIN SELECT * FROM shop.raw",
    ],
)
def test_no_way_around(shop: Front, reader: Reader, sql: str) -> None:
    reply = reader.post(sql, param_t="shop.raw", param_d="system")
    assert reply.status >= 400, reply.text
    assert "raw bytes" not in reply.text
    assert "bobs" not in reply.text
    assert shop.value("SELECT count() FROM shop.log") == "3000"


def test_counts_of_others_do_not_show(acme: Reader, analyst: Reader) -> None:
    for sql in ("EXPLAIN ESTIMATE SELECT * FROM events", "EXPLAIN indexes = 1 SELECT * FROM events"):
        assert acme.post(sql).code == 497
        assert analyst.post(sql).status == 200
    reply = acme.post("SELECT n FROM events FORMAT JSON", send_progress_in_http_headers=1)
    assert (reply.summary["read_rows"], reply.summary["result_rows"]) == (0, 1000)
    assert "statistics" not in json.loads(reply.body)
    assert "x-clickhouse-progress" not in reply.headers
    assert acme.post("SELECT n FROM events", default_format="JSONEachRowWithProgress").code == 497
    assert (
        acme.value("SELECT count() FROM system.tables WHERE database NOT LIKE '%tenant' AND database != 'system'")
        == "0"
    )
    assert acme.value("SELECT count() FROM information_schema.tables WHERE table_schema = 'shop'") == "0"


@pytest.mark.parametrize("name", ["stream_like_engine_insert_queue", "additional_table_filters", "log_queries",
                                  "output_format_schema", "format_schema", "distributed_cache_client_id"])  # fmt: skip
def test_settings_of_the_url_are_allow_listed(reader: Reader, name: str) -> None:
    assert reader.post("SELECT count() FROM events", **{name: "bob"}).code == 164


def test_databases_and_tables_of_the_request_are_closed(reader: Reader) -> None:
    assert reader.post("SELECT * FROM processes", database="system").code == 81
    assert reader.value("SELECT count() > 0 FROM events", database="shop") == "1"
    assert reader.value("SELECT count() > 0 FROM events", session_id="s", readonly=0, max_threads=2) == "1"


def test_what_clients_ask_at_first_is_answered(reader: Reader) -> None:
    import clickhouse_connect

    client = clickhouse_connect.get_client(
        host="127.0.0.1",
        port=reader._front.port,
        username=reader._headers["X-ClickHouse-User"],
        password=reader._headers["X-ClickHouse-Key"],
        database="shop",
    )
    assert client.query("SELECT min(n) FROM events").result_rows == [(0,)]
    assert client.query("SELECT n FROM events WHERE n = {n:UInt32}", parameters={"n": 7}).result_rows == [(7,)]
    assert next(row[0] for row in client.query("SHOW TABLES").result_rows) == "daily"
    client.close()


def test_a_view_made_later_is_shared_and_one_dropped_goes(shop: Front, acme: Reader) -> None:
    shop.post("CREATE VIEW shop.v_new AS SELECT tenant, n FROM shop.events WHERE n > 990")
    assert acme.value("SELECT count() FROM v_new") == "9"
    shop.post("CREATE OR REPLACE VIEW shop.v_new AS SELECT tenant, n, secret FROM shop.events WHERE n > 995")
    assert acme.value("SELECT count(secret) FROM v_new") == "4"
    shop.post("DROP VIEW shop.v_new")
    assert acme.post("SELECT * FROM v_new").code == 60


def test_a_view_of_what_readers_may_not_read_fails_closed(shop: Front, acme: Reader) -> None:
    shop.post("CREATE VIEW shop.v_leak AS SELECT value FROM shop.raw")
    try:
        assert acme.post("SELECT * FROM v_leak").status >= 400
        assert acme.value("SELECT count() FROM events") == "1000"
    finally:
        shop.post("DROP VIEW shop.v_leak")


def test_passwords_count_and_end_with_the_user(shop: Front) -> None:
    path = Path(shop.options["access"]) / users.FILE_NAME
    before = users.read(path)
    gone = made(shop, "gone", Role.ANALYST)
    assert gone.value("SELECT 1") == "1"
    assert Reader(shop, "gone", "wrong").post("SELECT 1").code == 516
    assert Reader(shop, "default", "wrong").post("SELECT 1").code == 516
    users.write(path, before)
    assert gone.post("SELECT 1").code == 516
    path.write_text("{ torn")
    assert gone.post("SELECT 1").code == 516
    assert shop.value("SELECT 1") == "1"
    users.write(path, before)


def test_admins_are_as_the_default_user(shop: Front) -> None:
    admin = made(shop, "boss", Role.ADMIN)
    assert admin.value("SELECT count() FROM shop.log") == "3000"
    assert admin.post("CREATE TABLE shop.mine (a Int8) ENGINE = Memory").status == 200
    assert admin.post("DROP TABLE shop.mine").status == 200


def test_a_file_holds_no_password(tmp_path: Path) -> None:
    user, password = users.make("ana", Role.ANALYST)
    users.write(tmp_path / "users.json", (user,))
    text = (tmp_path / "users.json").read_text()
    assert password not in text
    assert isinstance(user, User)
    assert len(password) >= 32


@pytest.mark.parametrize(("name", "role", "tenant"), [
    ("", Role.ANALYST, ""), ("a b", Role.ANALYST, ""), ("x", Role.TENANT, ""), ("x", Role.ANALYST, "acme"),
    ("x", Role.TENANT, "a\nb"), ("ü", Role.ADMIN, ""),
])  # fmt: skip
def test_names_that_cannot_be(name: str, role: Role, tenant: str) -> None:
    from core.errors import ConfigError

    with pytest.raises(ConfigError):
        users.make(name, role, tenant=tenant)
