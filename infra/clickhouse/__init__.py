"""The embedded ClickHouse: the engine as a library (chDB), in its own process, behind ClickHouse's HTTP interface.

`config` says what can be set, `server.serve` runs it, `python -m infra.clickhouse` is its command. Importing this
package loads no engine. Users, roles, replication and the native TCP protocol need a real server and are not here.
"""
