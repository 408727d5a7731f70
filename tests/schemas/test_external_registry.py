"""Another schema registry: our schemas put there, its ids on our records, and life without it."""

from __future__ import annotations

import base64
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import ConfigError, InvariantError, UnavailableError
from core.settings import Settings
from core.topics import Topics
from schemas import envelope, external, framing
from schemas.external import ExternalRegistry, Known, RegistryRefusedError
from schemas.publishing import CACHE_FILE, connect, install, publish
from schemas.registry import bundled, registry_at
from schemas.registry_view import text
from streams import reading, records
from tests.schemas.fake_registry import FakeRegistry, fake_registry
from tests.schemas.folders import shop
from tests.schemas.registry_server import ROOT, environment, serving
from tests.schemas.test_kafka_tools import outcome_of
from tests.streams.raw_events import raw_value
from tests.structure import imports

TOPICS = Topics.named("sluice.")
EVENT = bundled().get("event", 1)
GONE = "http://127.0.0.1:1"


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with fake_registry() as made:
        yield made


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that has encoded nothing yet, for one test."""
    compiled = (framing.frames, envelope._usual_prefix, reading.reader)
    monkeypatch.setattr(framing, "_process", framing._Process())
    for each in compiled:
        each.cache_clear()
    yield
    for each in compiled:
        each.cache_clear()


def configured(url: str, folder: Path) -> Settings:
    return Settings(schema_registry_url=url, state_dir=folder)


def published(url: str, folder: Path) -> dict[str, Known]:
    found = publish(bundled(), connect(configured(url, folder)), TOPICS)
    return {schema.label: known for schema, known in found}


# -- put there


def test_all_that_is_released_is_put_there_once(fake: FakeRegistry, tmp_path: Path) -> None:
    first = published(fake.url, tmp_path)
    assert set(first) == {schema.label for schema in bundled().schemas()}
    assert first["event:1"].subject == "sluice.curated-value"
    assert first["tracked_event:1"].subject == "tracked_event"
    assert {known.id for known in first.values()} == set(range(1000, fake.next_id))
    fake.requests.clear()
    assert published(fake.url, tmp_path) == first
    assert not [each for each in fake.requests if each.endswith("/versions")]


def test_what_others_refer_to_is_put_there_first(fake: FakeRegistry, tmp_path: Path) -> None:
    """The fake refuses a reference to what it does not have."""
    registry = registry_at(shop(tmp_path / "shop"))
    found = dict(publish(registry, connect(configured(fake.url, tmp_path)), TOPICS))
    bought = found[registry.get("bought", 1)]
    assert [(each.subject, each.version) for each in bought.references] == [("leaflet_context", 1)]
    assert fake.subjects["bought"][1]["references"] == list(msgspec.to_builtins(bought.references))


def test_a_registry_of_ours_is_one_too(tmp_path: Path) -> None:
    """All is there already; what is not cannot be put there."""
    with serving() as url:
        assert {label: known.id for label, known in published(url, tmp_path).items()} == {
            schema.label: schema.id for schema in bundled().schemas()
        }
        with pytest.raises(RegistryRefusedError, match="sluice schemas release") as refused:
            connect(configured(url, tmp_path)).register("new", text(EVENT).replace("Event", "Other"))
        assert refused.value.number == 42205


def test_the_command(fake: FakeRegistry, tmp_path: Path) -> None:
    program = [sys.executable, "-m", "cli", "schemas", "publish"]

    def run(**more: str) -> subprocess.CompletedProcess[str]:
        env = environment(SLUICE_STATE_DIR=str(tmp_path / "state"), **more)
        return subprocess.run(program, env=env, capture_output=True, text=True, check=False, timeout=30)

    done = run(SLUICE_SCHEMA_REGISTRY_URL=fake.url)
    assert done.returncode == 0, done.stderr
    known = fake.subjects["sluice.curated-value"][1]
    assert f"event:1 is id {known['id']}: sluice.curated-value version 1" in done.stdout.splitlines()
    assert "neither an external schema registry nor a running stack" in run().stderr


# -- its ids on our records


def test_records_name_its_ids(fake: FakeRegistry, tmp_path: Path, wire: None) -> None:
    before = published(fake.url, tmp_path)
    install(configured(fake.url, tmp_path))
    raw = raw_value()
    (curated,), _, outcome = outcome_of(raw)
    assert framing.split(raw)[0] == before["raw_envelope:2"].id
    newest = bundled().latest("event")
    assert framing.split(curated)[0] == before[newest.label].id
    assert framing.split(records.encode_outcome(outcome))[0] == before[bundled().latest("outcome").label].id
    assert records.decode_outcome(records.encode_outcome(outcome)) == outcome
    with SchemaRegistryClient({"url": fake.url}) as client:
        assert AvroDeserializer(client)(curated)["event_id"] == "e-1"


def test_records_are_read_by_all_the_names_of_their_schema(fake: FakeRegistry, tmp_path: Path, wire: None) -> None:
    """Those of the registry, and those of before it was there."""
    there = published(fake.url, tmp_path)["raw_envelope:2"]
    install(configured(fake.url, tmp_path))
    ours = bundled().get("raw_envelope", 2)
    body = raw_value()[5:]
    assert there.guid is not None
    for number in (there.id, ours.id):
        assert envelope.decode(b"\0" + number.to_bytes(4, "big") + body).head.event == "page_view"
    for guid in (there.guid, ours.guid):
        assert envelope.decode(b"\x01" + guid.bytes + body).head.event == "page_view"
    with pytest.raises(envelope.EnvelopeError, match="schema 4000"):
        envelope.decode(b"\0" + (4000).to_bytes(4, "big") + body)


def test_a_registry_that_knows_no_guids_will_do(tmp_path: Path, wire: None) -> None:
    with fake_registry(with_guids=False) as fake:
        assert published(fake.url, tmp_path)["event:1"].guid is None
        install(configured(fake.url, tmp_path))
        assert framing.split(raw_value())[0] == fake.subjects["sluice.raw-value"][2]["id"]


def test_an_id_that_would_mean_two_versions_is_refused(tmp_path: Path, wire: None) -> None:
    """A topic may hold records of before: their id 9 is the second version of `event`."""
    first, second = bundled().get("event", 1), bundled().get("event", 2)
    with fake_registry(next_id=second.id) as fake:
        connect(configured(fake.url, tmp_path)).register("sluice.curated-value", text(first))
        fake.next_id = 5000
        published(fake.url, tmp_path)
        with pytest.raises(ConfigError, match=r"id 9 is event:[12] in one registry and event:[12] in"):
            install(configured(fake.url, tmp_path))


def test_the_same_id_for_records_of_two_topics_is_no_trouble(tmp_path: Path, wire: None) -> None:
    """There the first id is `dead_letter`'s, here `raw_envelope`'s: they are never on one topic."""
    with fake_registry(next_id=1) as fake:
        dead_letter = connect(configured(fake.url, tmp_path)).register(
            "sluice.dead_letters-value", text(bundled().get("dead_letter", 1))
        )
        fake.next_id = 5000
        published(fake.url, tmp_path)
        install(configured(fake.url, tmp_path))
        assert dead_letter.id == bundled().get("raw_envelope", 1).id
        _, (letter,), _ = outcome_of(raw_value(visitor_id=7))
        assert framing.split(records.encode_dead_letter(letter))[0] == 1
        assert records.decode_dead_letter(records.encode_dead_letter(letter)) == letter


def test_it_is_too_late_once_something_was_encoded(fake: FakeRegistry, tmp_path: Path, wire: None) -> None:
    published(fake.url, tmp_path)
    raw_value()
    with pytest.raises(InvariantError):
        install(configured(fake.url, tmp_path))


def test_without_one_the_ids_are_ours(tmp_path: Path, wire: None) -> None:
    install(configured("", tmp_path))
    assert framing.split(raw_value())[0] == bundled().get("raw_envelope", 2).id
    assert list(tmp_path.iterdir()) == []


def test_what_was_never_published_is_told(fake: FakeRegistry, tmp_path: Path, wire: None) -> None:
    with pytest.raises(ConfigError, match=r"has no raw_envelope:1 under sluice\.raw-value") as error:
        install(configured(fake.url, tmp_path))
    assert "sluice schemas publish" in error.value.hint


# -- life without it


def _down(fake: FakeRegistry) -> str:
    return GONE


def _broken(fake: FakeRegistry) -> str:
    fake.answer = (500, b'{"error_code": 50001, "message": "Error in the backend data store"}', 0.0)
    return fake.url


def _proxied(fake: FakeRegistry) -> str:
    fake.answer = (200, b"<html>Sign in</html>", 0.0)
    return fake.url


def _slow(fake: FakeRegistry) -> str:
    fake.answer = (200, b"{}", 5.0)
    return fake.url


def _trickling(fake: FakeRegistry) -> str:
    fake.answer = (200, b" " * 500, 0.02)
    return fake.url


def _endless(fake: FakeRegistry) -> str:
    fake.answer = (200, b" " * (external._MAX_ANSWER_BYTES + 1), 0.0)
    return fake.url


OUTAGES = [_down, _broken, _proxied, _slow, _trickling, _endless]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "_ANSWER_TIMEOUT_S", 0.3)
    monkeypatch.setattr(external, "_CONNECT_TIMEOUT_S", 0.3)


def _cached_for(url: str, folder: Path) -> None:
    """The cache as it would be, had the registry at `url` been asked."""
    path = folder / CACHE_FILE
    path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | {"url": url}))


@pytest.mark.parametrize("outage", OUTAGES)
def test_with_a_cache_a_process_starts_and_works(
    outage: Any, fake: FakeRegistry, tmp_path: Path, wire: None, impatient: None
) -> None:
    ids = {label: known.id for label, known in published(fake.url, tmp_path).items()}
    url = outage(fake)
    _cached_for(url, tmp_path)
    fake.requests.clear()
    install(configured(url, tmp_path))
    assert framing.split(raw_value())[0] == ids["raw_envelope:2"]
    assert fake.requests == [], "what is known is not asked"


@pytest.mark.parametrize("outage", OUTAGES)
def test_without_one_it_says_to_try_later(
    outage: Any, fake: FakeRegistry, tmp_path: Path, wire: None, impatient: None
) -> None:
    url = outage(fake)
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1") as error:
        install(configured(url, tmp_path))
    assert error.value.retryable
    assert not (tmp_path / CACHE_FILE).exists()


def test_a_process_of_the_flow_ends_with_a_code_that_is_tried_again(tmp_path: Path) -> None:
    env = environment(SLUICE_SCHEMA_REGISTRY_URL=GONE, SLUICE_STATE_DIR=str(tmp_path / "state"))
    for role in ("collector", "streams", "sink"):
        done = subprocess.run(
            [sys.executable, "-m", "cli", role],
            env=env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert done.returncode == 69, done.stderr
        assert "the schema registry at http://127.0.0.1:1 does not answer" in done.stderr


def test_what_was_deleted_there_stays_known(fake: FakeRegistry, tmp_path: Path, wire: None) -> None:
    ids = {label: known.id for label, known in published(fake.url, tmp_path).items()}
    fake.subjects.clear()
    install(configured(fake.url, tmp_path))
    assert framing.split(raw_value())[0] == ids["raw_envelope:2"]
    registry = connect(configured(fake.url, tmp_path))
    assert registry.find(ids["event:1"]).schema == text(EVENT)
    assert registry.lookup("sluice.curated-value", text(EVENT)) is None


def test_what_was_registered_anew_is_written_with_the_new_id_and_read_by_both(
    fake: FakeRegistry, tmp_path: Path, wire: None
) -> None:
    old = published(fake.url, tmp_path)["raw_envelope:2"].id
    fake.subjects.clear()
    new = published(fake.url, tmp_path)["raw_envelope:2"].id
    assert new != old
    install(configured(fake.url, tmp_path))
    raw = raw_value()
    assert framing.split(raw)[0] == new
    assert envelope.decode(b"\0" + old.to_bytes(4, "big") + raw[5:]).head.event == "page_view"


# -- lookups and the file


def test_ids_and_guids_are_looked_up_once(fake: FakeRegistry, tmp_path: Path) -> None:
    known = published(fake.url, tmp_path / "one")["event:1"]
    registry = ExternalRegistry(fake.url, cache=tmp_path / "cache")
    assert known.guid is not None
    for name in (known.id, known.guid):
        assert registry.find(name).schema == text(EVENT)
    fake.answer = (500, b"", 0.0)
    for name in (known.id, known.guid):
        assert ExternalRegistry(fake.url, cache=tmp_path / "cache").find(name).schema == text(EVENT)
    fake.answer = None
    for missing in (7, uuid.UUID(int=7)):
        with pytest.raises(RegistryRefusedError, match="not found") as refused:
            registry.find(missing)
        assert refused.value.number == 40403


def test_processes_share_what_they_learn(fake: FakeRegistry, tmp_path: Path) -> None:
    one, other = (ExternalRegistry(fake.url, cache=tmp_path / "cache") for _ in range(2))
    one.register("a", text(EVENT))
    other.register("b", text(EVENT))
    one.register("c", text(EVENT))
    third = ExternalRegistry(fake.url, cache=tmp_path / "cache")
    assert all(third.names(subject, text(EVENT)) for subject in "abc")
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"url": "x"', b'{"url": 1}', b"\xff"])
def test_a_damaged_file_is_no_file(
    content: bytes, fake: FakeRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "cache"
    path.write_bytes(content)
    registry = ExternalRegistry(fake.url, cache=path)
    assert "schema_registry.cache_unreadable" in caplog.text
    registry.register("a", text(EVENT))
    assert ExternalRegistry(fake.url, cache=path).names("a", text(EVENT))


def test_ids_of_another_registry_are_not_taken_for_its(fake: FakeRegistry, tmp_path: Path) -> None:
    ExternalRegistry(fake.url, cache=tmp_path / "cache").register("a", text(EVENT))
    assert ExternalRegistry(GONE, cache=tmp_path / "cache").names("a", text(EVENT)) == []


def test_a_file_that_cannot_be_written_costs_nothing_now(
    fake: FakeRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    registry = ExternalRegistry(fake.url, cache=tmp_path / "file" / "cache")
    assert registry.register("a", text(EVENT)).id == 1000
    assert "schema_registry.cache_not_written" in caplog.text


# -- who asks, and what answers


def test_user_and_password(tmp_path: Path) -> None:
    token = base64.b64encode(b"me:secret").decode()
    with fake_registry(password=token) as fake:
        trusted = ExternalRegistry(fake.url, user="me", password="secret", cache=tmp_path / "cache")
        assert trusted.register("a", text(EVENT)).id == 1000
        with pytest.raises(ConfigError, match="401: Unauthorized") as error:
            ExternalRegistry(fake.url, user="me", password="guess", cache=tmp_path / "cache").register("a", text(EVENT))
        assert "SLUICE_SCHEMA_REGISTRY_PASSWORD" in error.value.hint


@pytest.mark.parametrize("url", ["registry:8081", "ftp://registry", "http://", "http:///path"])
def test_a_url_that_is_none(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="SLUICE_SCHEMA_REGISTRY_URL"):
        ExternalRegistry(url, cache=tmp_path / "cache")


def test_a_password_in_the_url_is_refused_and_not_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        ExternalRegistry("http://me:secret@registry:8081", cache=tmp_path / "cache")
    assert "secret" not in error.value.message + error.value.hint


def test_a_certificate_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    lasting = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    (tmp_path / "certificate.pem").write_bytes(lasting.sign(key, SHA256()).public_bytes(Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with fake_registry(certificate=(tmp_path / "certificate.pem", tmp_path / "key.pem")) as fake:
        with pytest.raises(UnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
            ExternalRegistry(fake.url, cache=tmp_path / "cache").register("a", text(EVENT))
        assert fake.requests == []


ANSWERS = st.one_of(
    st.binary(max_size=60),
    st.dictionaries(
        st.sampled_from(["id", "version", "guid", "schema", "references", "subject", "error_code", "message"]),
        st.none() | st.integers() | st.text(max_size=5) | st.lists(st.none() | st.integers(), max_size=2),
    ).map(msgspec.json.encode),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([200, 201, 302, 400, 404, 409, 422, 429, 500, 503]), ANSWERS)
def test_no_answer_is_a_defect_of_ours(fake: FakeRegistry, tmp_path: Path, status: int, answer: bytes) -> None:
    fake.answer = (status, answer, 0.0)
    registry = ExternalRegistry(fake.url, cache=tmp_path / "cache")
    asks: list[Callable[[], Known]] = [
        partial(registry.register, "a", text(EVENT)),
        partial(registry.find, 8),
        partial(registry.find, uuid.UUID(int=8)),
    ]
    for ask in asks:
        try:
            found = ask()
        except (ConfigError, UnavailableError, RegistryRefusedError):
            continue
        assert (status, type(found.id)) == (200, int)
    (tmp_path / "cache").unlink(missing_ok=True)


def test_a_batch_is_processed_in_this_state(fake: FakeRegistry, tmp_path: Path, wire: None) -> None:
    """Raw records of before the registry came are curated under its ids."""
    raw = raw_value()
    framing._process = framing._Process()
    for each in (framing.frames, envelope._usual_prefix):
        each.cache_clear()
    published(fake.url, tmp_path)
    install(configured(fake.url, tmp_path))
    assert framing.split(raw)[0] == bundled().get("raw_envelope", 2).id
    (curated,), _, _ = outcome_of(raw)
    newest = bundled().latest("event").version
    assert framing.split(curated)[0] == fake.subjects["sluice.curated-value"][newest]["id"]


@pytest.mark.parametrize("room", ["collector", "streams", "sinks", "cli"])
def test_importing_a_room_compiles_no_encoder(room: str) -> None:
    """It would have our own ids in it, and the process could not take those of the registry any more."""
    modules = [name for name in map(imports.module_name, imports.sources()) if name.partition(".")[0] == room]
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "from schemas import framing; sys.exit(framing._process.asked)"
    )
    kept = [name for name in modules if not name.endswith("__main__")]
    subprocess.run([sys.executable, "-c", program, *kept], env=environment(), cwd=ROOT, check=True)
