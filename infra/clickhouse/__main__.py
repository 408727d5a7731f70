"""`python -m infra.clickhouse`. The password comes from a file, never from the command line."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from infra.clickhouse import exit_codes
from infra.clickhouse.config import FrontConfig, FrontConfigError


def main(arguments: list[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    try:
        config = FrontConfig(
            data=options.data.absolute(),
            password=options.password_file.read_text().strip(),
            host=options.host,
            port=options.port,
            access=options.access.absolute() if options.access is not None else None,
            max_body_mib=options.max_body_mib,
            max_concurrent=options.max_concurrent,
            grace_seconds=options.grace_seconds,
        )
    except (FrontConfigError, OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"clickhouse front: {error}\n")
        return exit_codes.USAGE
    # Late: `--help` must not wait for uvicorn.
    from infra.clickhouse.server import serve

    return serve(config)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.clickhouse", description="ClickHouse, embedded, over HTTP.")
    parser.add_argument("--data", type=Path, required=True, help="data folder, made when missing")
    parser.add_argument("--host", default=FrontConfig.host, help="address to listen on")
    parser.add_argument("--port", type=int, default=FrontConfig.port, help="port to listen on, 0 takes a free one")
    parser.add_argument("--password-file", type=Path, required=True, help="file with the password of user `default`")
    parser.add_argument("--access", type=Path, help="folder that says who else may read what")
    parser.add_argument("--max-body-mib", type=int, default=256, help="largest request body, as sent")
    parser.add_argument("--max-concurrent", type=int, default=32, help="statements that run at once")
    parser.add_argument("--grace-seconds", type=float, default=20.0, help="how long a stop waits for statements")
    return parser


if __name__ == "__main__":
    try:
        code = main()
    except Exception:
        logging.getLogger(__name__).exception("clickhouse.broke")
        code = exit_codes.INTERNAL
    logging.shutdown()
    # Not sys.exit: threads of a statement that is stuck in the engine must not hold the process.
    os._exit(code)
