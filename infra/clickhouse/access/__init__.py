"""Users of the front and what they may read.

    users.py     names, roles and hashes, in a file that `sluice users` writes and the front reads again when it changed
    rights.py    which views each role may read, and which tables hold rows of tenants
    engine.py    the same in the engine's own words: roles with grants, and row policies
    views.py     the database of each role, its views kept in step with those of the pipeline
    allowed.py   which statements a reader may send

The engine makes no users on its own (`absent`), but it reads roles and row policies from a configuration when it opens.
So a reader's connection takes a role that has been granted the views of that role's database and nothing else. Those
views run with the rights of an inner user (SQL SECURITY DEFINER), who for tenants is under row policies: the engine
applies them before any expression of the reader sees a row. `allowed` closes what the engine's grants leave open.
"""
