"""clickhouse-connect's own integration tests, run against our front: `python -m tests.clients.connect_suite DIR`.

DIR is a checkout of that project at the commit that `expected.toml` names. Its tests run with the released package of
`requirements.txt`, so the checkout's own sources are never imported. What fails or is skipped must be listed, each with
its reason; anything that fails, passes or is skipped otherwise ends in exit code 1.
"""
