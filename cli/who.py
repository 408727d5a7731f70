"""Who says so: the name that commands put beside what they change."""

from __future__ import annotations

import getpass
import os

import click


def user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in containers
        return str(os.getuid())


by_option = click.option("--by", default=user, show_default="your user name", help="Who says so.")
