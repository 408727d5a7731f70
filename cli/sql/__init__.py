"""Statements for ClickHouse from the command line: `sluice query` for scripts, `sluice sql` for people.

Both speak HTTP to the embedded engine or to the server that SLUICE_CLICKHOUSE_URL names. A running statement carries a
mark in `log_comment`, by which its progress is read and by which it is killed; both engines know that setting.
"""
