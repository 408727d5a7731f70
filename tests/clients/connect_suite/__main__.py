"""`python -m tests.clients.connect_suite DIR [pytest arguments]`: see the package."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

from tests.clients.connect_suite import verdict
from tests.clients.virtualenv import virtualenv
from tests.infra.clickhouse.front import PASSWORD, Front

_HERE: Final = Path(__file__).parent
_SECONDS: Final = 1800  # bounds a hang; 831 tests take two to five minutes


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.clients.connect_suite", description=__doc__)
    parser.add_argument("checkout", type=Path, help="a checkout of clickhouse-connect")
    parser.add_argument("-k", dest="only", default="", help="only tests that match, as of pytest; checks these alone")
    options = parser.parse_args()
    expected = verdict.read_expected(_HERE / "expected.toml")
    if not (options.checkout / "tests" / "integration_tests").is_dir():
        sys.stderr.write(
            f"{options.checkout} is no checkout of clickhouse-connect: it has no tests/integration_tests\n"
        )
        return 2
    if (commit := _commit(options.checkout)) != expected.commit:
        sys.stderr.write(f"warning: the list was made for commit {expected.commit}, this checkout is at {commit}\n")
    with tempfile.TemporaryDirectory(prefix="connect-suite-") as folder:
        outcomes = _run(options.checkout, Path(folder), only=options.only)
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(Counter(outcomes.values()).items())))
    found = verdict.differences(expected, outcomes)
    if options.only:
        found = [line for line in found if not line.endswith("no such test")]
    for line in found:
        print(f"unexpected: {line}")
    if not outcomes:
        print("no test ran")
    return 1 if found or not outcomes else 0


def _run(checkout: Path, folder: Path, *, only: str) -> dict[str, str]:
    # The tests alone: beside the checkout's sources they would import these, uncompiled, instead of the package.
    shutil.copytree(checkout / "tests", folder / "tests")
    junit = folder / "junit.xml"
    python = virtualenv(_HERE / "requirements.txt")
    with Front(folder / "data") as front:
        environment = {
            **os.environ,
            "CLICKHOUSE_CONNECT_TEST_HOST": "127.0.0.1",
            "CLICKHOUSE_CONNECT_TEST_PORT": str(front.port),
            "CLICKHOUSE_CONNECT_TEST_PASSWORD": PASSWORD,
            "TZ": "UTC",
        }
        subprocess.run(
            [str(python), "-m", "pytest", "-q", "--tb=short", "-n", "2", "-p", "no:cacheprovider", "-k", only,
             "-o", "asyncio_default_fixture_loop_scope=session", f"--junitxml={junit}", "tests/integration_tests"],
            cwd=folder, env=environment, timeout=_SECONDS, check=False)  # fmt: skip
        assert front.process is not None
        if front.process.poll() is not None:
            raise SystemExit(f"the front ended: {front.log[-2000:]}")
        front.stop()
    return verdict.read_outcomes(junit) if junit.is_file() else {}


def _commit(checkout: Path) -> str:
    found = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
