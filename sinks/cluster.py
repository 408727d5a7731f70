"""Migrations for a replicated server, from the same files: statements go to all nodes of a cluster, tables replicate.

    ON CLUSTER                        behind the name, in every statement
    ReplicatedMergeTree and the like  with no arguments: the server's `default_replica_path` and `default_replica_name`
                                      say where, and the default path holds the table's UUID
    the window of tokens              `non_replicated_deduplication_window` is of tables on one node; a replicated table
                                      has one by number and one by age, and the age must outlast the longest outage

Only the forms that migrations have are known; another one is an error, so that none slips through as it is.
"""

from __future__ import annotations

import re

from core.errors import InvariantError

# Tokens by age. A sink that was down this long begins with a token that the table has forgotten.
_TOKENS_KEPT_S = 30 * 24 * 3_600
_NAMED = re.compile(
    r"(?P<what>CREATE (?:OR REPLACE )?(?:MATERIALIZED )?(?:TABLE|VIEW)(?: IF NOT EXISTS)?|ALTER TABLE"
    r"|DROP (?:TABLE|VIEW)(?: IF EXISTS)?|TRUNCATE TABLE|EXCHANGE TABLES \w+ AND|CREATE DATABASE IF NOT EXISTS)"
    r" (?P<name>`[^`]+`|\w+)"
)
# Rows reach the other replicas by themselves.
_OF_ROWS = re.compile(r"INSERT INTO \w+ SELECT ")
_ENGINE = re.compile(r"\bENGINE = (?P<engine>(?:Aggregating)?MergeTree)\b(?!\()")
_ANY_ENGINE = re.compile(r"\bENGINE\b")
_WINDOW = re.compile(r"\bnon_replicated_deduplication_window = (?P<tokens>\d+)")


def render(statement: str, cluster: str) -> str:
    """`statement` of a migration for a cluster; as it is where `cluster` is empty.

    Raises:
        InvariantError: a form that is not known here.
    """
    if not cluster:
        return statement
    code_at = _code_at(statement)
    if _OF_ROWS.match(statement, code_at):
        return statement
    found = _NAMED.match(statement, code_at)
    if found is None:
        raise InvariantError(f"no form for a cluster is known of: {statement[code_at : code_at + 60]}")
    rest = statement[found.end() :]
    if found["what"].endswith("TABLE IF NOT EXISTS"):
        rest, engines = _ENGINE.subn(r"ENGINE = Replicated\g<engine>", rest)
        if engines != 1 or len(_ANY_ENGINE.findall(rest)) != 1:
            raise InvariantError(f"{found['name']} has no engine that can be replicated")
    rest = _WINDOW.sub(
        rf"replicated_deduplication_window = \g<tokens>, replicated_deduplication_window_seconds = {_TOKENS_KEPT_S}",
        rest,
    )
    return f"{statement[: found.end()]} ON CLUSTER `{cluster}`{rest}"


def _code_at(statement: str) -> int:
    """Where the statement begins, behind comments."""
    at = 0
    for line in statement.splitlines(keepends=True):
        if line.strip() and not line.lstrip().startswith("--"):
            return at
        at += len(line)
    return at
