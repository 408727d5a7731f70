"""TLS of the collector's own port, where no proxy in front of it does that."""

from __future__ import annotations

import ssl

from core.errors import ConfigError
from core.settings import Settings


def context(settings: Settings) -> ssl.SSLContext | None:
    """None where no certificate is set. TLS 1.2 and later, HTTP/1.1 only.

    Raises:
        ConfigError: certificate or key cannot be read, or do not belong together.
    """
    certificate, key = settings.collector_tls_certificate_file, settings.collector_tls_key_file
    if not certificate and not key:
        return None
    if not (certificate and key):
        raise ConfigError(
            "TLS needs a certificate and its key",
            hint="Set both SLUICE_COLLECTOR_TLS_CERTIFICATE_FILE and SLUICE_COLLECTOR_TLS_KEY_FILE.",
        )
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    password = settings.collector_tls_key_password
    try:
        # A function, because without one a key that needs a password would be asked for on the terminal.
        made.load_cert_chain(certificate, key, password=lambda: password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(f"the certificate {certificate} and the key {key} cannot be used: {error}") from error
    return made
