"""`python -m collector`: the collector alone, with settings from the environment."""

from __future__ import annotations

import os
import sys

from collector.server import run
from core import log
from core.errors import SluiceError
from core.settings import Settings


def main() -> int:
    try:
        settings = Settings.from_env(os.environ)
        log.configure(process="collector", level=settings.log_level, form=settings.log_format)
        run(settings)
    except SluiceError as error:
        log.get_logger(__name__).error("collector.failed", code=error.code, message=error.message, hint=error.hint)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
