"""The collector behind a certificate of its own."""

from __future__ import annotations

import datetime as dt
import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from collector import tls
from collector.bounds import Bounds
from core.errors import ConfigError
from core.settings import Settings
from tests.collector.conftest import KEY
from tests.collector.live import read_all, serve, status
from tests.collector.security.conftest import EVENT, post


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key, which has a password."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"pass"),
        )
    )
    return certificate_file, key_file


def settings(pems: tuple[Path, Path], **changes: str) -> Settings:
    files = {
        "collector_tls_certificate_file": str(pems[0]),
        "collector_tls_key_file": str(pems[1]),
        "collector_tls_key_password": "pass",
    }
    return Settings(bootstrap_key=KEY, **(files | changes))  # type: ignore[arg-type]


def test_it_is_served_and_old_versions_are_not(pems: tuple[Path, Path]) -> None:
    found = settings(pems)
    client = ssl.create_default_context(cafile=str(pems[0]))
    with serve(found, bounds=Bounds(head_s=0.5), tls=tls.context(found)) as served:
        with client.wrap_socket(served.connect(), server_hostname="localhost") as sock:
            sock.sendall(post(EVENT) + post(EVENT, b"connection: close"))
            received = read_all(sock)
        assert received.count(b" 200 OK\r\n") == 2
        # What is refused before its end is told, and the connection does not hang.
        with client.wrap_socket(served.connect(), server_hostname="localhost") as sock:
            sock.sendall(post(b"", length=10**8))
            assert status(sock.recv(65536)) == 413
        with pytest.raises(ssl.SSLError):
            ssl.create_default_context().wrap_socket(served.connect(), server_hostname="localhost")
        old = ssl.create_default_context(cafile=str(pems[0]))
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            old.wrap_socket(served.connect(), server_hostname="localhost")


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"])
def test_a_handshake_has_a_deadline(pems: tuple[Path, Path], said: bytes) -> None:
    found = settings(pems)
    with serve(found, bounds=Bounds(head_s=0.5), tls=tls.context(found)) as served, served.connect() as sock:
        started = time.monotonic()
        sock.sendall(said)
        sock.settimeout(5)
        try:
            while sock.recv(100):
                pass
        except ConnectionResetError:
            pass
        assert time.monotonic() - started < 4


@pytest.mark.parametrize(
    "changes",
    [
        {"collector_tls_key_file": ""},
        {"collector_tls_certificate_file": ""},
        {"collector_tls_certificate_file": "/nowhere"},
        {"collector_tls_key_file": "/nowhere"},
        {"collector_tls_key_password": "wrong"},
        {"collector_tls_key_password": ""},
    ],
)
def test_what_cannot_be_used_is_said(pems: tuple[Path, Path], changes: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        tls.context(settings(pems, **changes))
    assert "pass" not in caught.value.message


def test_without_a_certificate_there_is_none() -> None:
    assert tls.context(Settings()) is None
