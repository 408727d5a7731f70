"""`python -m cli` is `sluice`."""

from cli.main import main

main()
