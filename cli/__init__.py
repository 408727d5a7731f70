"""The `sluice` command: everything an operator types, and nothing a long-running process needs."""
