from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.clickhouse.errors import ClickHouseError
from infra.clickhouse.guards import STREAM_ENGINES, refuse
from infra.clickhouse.statement import parse


def code_of(sql: str, *, method: str = "POST") -> int:
    """0 when the engine may have it."""
    try:
        refuse(parse(sql.encode()), method=method)
    except ClickHouseError as error:
        return error.code
    return 0


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE k (a Int8) ENGINE = Kafka('b', 't', 'g', 'CSV')",
        "create table k (a Int8) engine kafka settings x = 1",
        "CREATE TABLE k (a Int8) ENGINE/**/=/* MergeTree */`Kafka`()",
        'ATTACH TABLE k (a Int8) ENGINE = "RabbitMQ"()',
        "CREATE OR REPLACE TABLE k (a Int8) -- ENGINE = Memory\n ENGINE\n=\nNATS",
        "CREATE TABLE k AS other ENGINE = S3Queue('x', 'CSV')",
        "CREATE TABLE IF NOT EXISTS db.k ON CLUSTER c (a Int8) ENGINE = AzureQueue()",
        "CREATE TABLE k (a Int8) ENGINE = ReplicatedMergeTree ENGINE = Kafka",
        "CREATE MATERIALIZED VIEW v (a Int8) ENGINE = FileLog('/x', 'CSV') AS SELECT 1",
        "CREATE DATABASE d ENGINE = MaterializedPostgreSQL('h', 'd', 'u', 'p')",
        "/* x */ CREATE TABLE k (engine String) ENGINE = KAFKA()",
    ],
)
def test_stream_engines_are_refused(sql: str) -> None:
    assert code_of(sql) == 344


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE t (a Int8 COMMENT 'ENGINE = Kafka') ENGINE = MergeTree ORDER BY a -- ENGINE = Kafka",
        "CREATE TABLE t (`engine` String DEFAULT 'Kafka') ENGINE = Memory",
        "CREATE TABLE kafka (engine kafka) ENGINE = Memory",
        "CREATE VIEW v AS SELECT engine kafka FROM system.tables",
        "SELECT engine kafka FROM system.tables",
        "SELECT 'CREATE TABLE k ENGINE = Kafka'",
        "CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a COMMENT $$ENGINE = Kafka$$",
        "INSERT INTO t VALUES ('CREATE TABLE x ENGINE=Kafka; SELECT 1')",
        "SELECT 1;",
        "SELECT 1; -- done",
        "SELECT ';' || `a;b`",
    ],
)
def test_what_only_looks_like_it_is_not(sql: str) -> None:
    assert code_of(sql) == 0


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("CREATE USER u", 497),
        ("create or replace table t (a Int8) engine = ReplicatedMergeTree('/x', 'r') order by a", 225),
        ("SHOW ROW POLICIES ON t", 497),
        ("ALTER SETTINGS PROFILE p", 497),
        ("GRANT SELECT ON *.* TO u", 497),
        ("SET DEFAULT ROLE r TO u", 497),
        ("CREATE TABLE t (a Int8) ENGINE = `ReplicatedSummingMergeTree` ORDER BY a", 225),
        ("CREATE DATABASE d ENGINE = Replicated('/x', 's', 'r')", 225),
        ("CREATE TABLE t (a Int8) ENGINE = KeeperMap('/x') PRIMARY KEY a", 225),
        ("CREATE TABLE t ON CLUSTER c (a Int8) ENGINE = Memory", 701),
        ("ALTER TABLE t ON/**/CLUSTER `c` DELETE WHERE 1", 701),
        ("CREATE TABLE t (a Int8) ENGINE = Distributed('c', 'd', 't')", 701),
        ("SYSTEM START LISTEN HTTP", 344),
    ],
)
def test_what_the_engine_lacks_is_told(sql: str, code: int) -> None:
    assert code_of(sql) == code


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE user",
        "CREATE TABLE role (quota UInt8, on_cluster UInt8) ENGINE = Memory",
        "SHOW CREATE TABLE t",
        "SHOW GRANTS",
        "SET max_threads = 1",
        "SELECT * FROM a JOIN b ON cluster = name",
        "CREATE VIEW v AS SELECT * FROM a JOIN b ON (a.x = b.x) WHERE engine = 'ReplicatedMergeTree'",
        "INSERT INTO t SELECT engine Replicated FROM system.tables",
    ],
)
def test_names_are_no_features(sql: str) -> None:
    assert code_of(sql) == 0


@given(
    engine=st.sampled_from(sorted(STREAM_ENGINES)),
    quote=st.sampled_from(["{}", "`{}`", '"{}"']),
    blank=st.sampled_from([" ", "\n", "/* ENGINE = Memory */", "-- ENGINE = Null\n", "\t"]),
    equals=st.sampled_from(["=", " = ", ""]),
    upper=st.booleans(),
)
def test_no_spelling_hides_an_engine(engine: str, quote: str, blank: str, equals: str, upper: bool) -> None:
    name = quote.format(engine.upper() if upper else engine)
    assert code_of(f"CREATE TABLE t (a Int8){blank}ENGINE{blank}{equals}{blank}{name}") == 344


def test_one_statement_a_request() -> None:
    assert code_of("SELECT 1; CREATE TABLE k (a Int8) ENGINE = Kafka()") == 62


def test_host_files_and_input_are_refused() -> None:
    assert code_of("SELECT 1 INTO OUTFILE 'x'") == 358
    assert code_of("INSERT INTO t FROM INFILE 'x' FORMAT CSV") == 78
    assert code_of("INSERT INTO t SELECT a FROM input('a Int8') FORMAT CSV") == 48


def test_nobody_shuts_the_process_group_down() -> None:
    assert code_of("SYSTEM /* */ SHUTDOWN") == 344
    assert code_of("system kill") == 344
    assert code_of("SYSTEM FLUSH LOGS") == 0


def test_get_only_reads() -> None:
    assert code_of("SELECT 1", method="GET") == 0
    assert code_of("INSERT INTO t VALUES (1)", method="GET") == 164
    assert code_of("DROP TABLE t", method="GET") == 164
