"""The read API in process: what each path answers, and that nothing but its own errors ever comes out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from core.clock import ManualClock
from core.topics import Topics
from schemas import lock
from schemas.registry import bundled, registry_at
from schemas.registry_api import MAX_BODY_BYTES, MEDIA_TYPE, create_app
from schemas.registry_view import text
from schemas.reread import FollowedRegistry
from tests.schemas.folders import BOUGHT, release, shop, write

TOPICS = Topics.named("sluice.")
OURS = {
    "sluice.raw-value": "raw_envelope",
    "sluice.raw_historic-value": "raw_envelope",
    "sluice.audit-value": "audit",
    "sluice.abuse-value": "abuse",
    "sluice.drops-value": "drops",
    "sluice.restated_ids-value": "restated_ids",
    "sluice.restatements-value": "restatement",
    "sluice.curated-value": "event",
    "sluice.dead_letters-value": "dead_letter",
    "sluice.outcomes-value": "outcome",
}
EVENT = bundled().get("event", 1)


def client_of(folder: Path | None = None) -> TestClient:
    registry = registry_at(folder)
    return TestClient(create_app(lambda: registry, topics=TOPICS))


@pytest.fixture(scope="module")
def client() -> TestClient:
    return client_of()


@pytest.fixture
def shopped(tmp_path: Path) -> TestClient:
    return client_of(shop(tmp_path))


def got(client: TestClient, path: str) -> Any:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, MEDIA_TYPE), answer.text
    return answer.json()


def refused(answer: Any) -> tuple[int, int]:
    body = answer.json()
    assert set(body) == {"error_code", "message"}
    assert body["message"]
    assert answer.headers["content-type"] == MEDIA_TYPE
    return answer.status_code, body["error_code"]


# -- what is there


def test_subjects_are_ours_and_those_of_our_topics(client: TestClient) -> None:
    found = got(client, "/subjects")
    assert found == sorted([*bundled().subjects(), *OURS])
    assert got(client, "/subjects?subjectPrefix=sluice.") == sorted(OURS)
    assert got(client, "/subjects?subjectPrefix=:*:sluice.c") == ["sluice.curated-value"]
    assert got(client, "/subjects?deleted=true&offset=1&limit=2") == found[1:3]
    assert got(client, "/subjects?limit=0") == []


@pytest.mark.parametrize(("topic_subject", "subject"), OURS.items())
def test_a_topics_subject_has_the_versions_of_its_record(client: TestClient, topic_subject: str, subject: str) -> None:
    assert got(client, f"/subjects/{topic_subject}/versions") == bundled().versions(subject)
    for version in bundled().versions(subject):
        one, other = (got(client, f"/subjects/{name}/versions/{version}") for name in (subject, topic_subject))
        assert one == other | {"subject": subject}
        of_topics = [name for name, record in OURS.items() if record == subject]
        names = [{"subject": name, "version": version} for name in sorted([subject, *of_topics])]
        assert got(client, f"/schemas/ids/{one['id']}/versions") == names
        assert got(client, f"/schemas/ids/{one['id']}/subjects") == sorted([subject, *of_topics])
        assert got(client, f"/schemas/ids/{one['id']}/subjects?subject={subject}") == [subject]


@pytest.mark.parametrize("schema", bundled().schemas(), ids=lambda schema: schema.label)
def test_every_schema_is_found_by_all_its_names(client: TestClient, schema: Any) -> None:
    by_version = got(client, f"/subjects/{schema.subject}/versions/{schema.version}")
    named = {"subject": schema.subject, "version": schema.version, "id": schema.id, "guid": str(schema.guid)}
    assert {key: by_version[key] for key in named} == named
    bare = {key: by_version[key] for key in by_version if key not in {"subject", "version", "id"}}
    assert got(client, f"/schemas/ids/{schema.id}") == bare
    assert got(client, f"/schemas/guids/{schema.guid}") == bare
    assert got(client, f"/schemas/ids/{schema.id}?subject={schema.subject}") == by_version
    source = json.loads(by_version["schema"])
    assert source == lock.content(schema.source)
    assert got(client, f"/schemas/ids/{schema.id}/schema") == source
    assert got(client, f"/subjects/{schema.subject}/versions/{schema.version}/schema") == source
    assert client.post(f"/subjects/{schema.subject}", json={"schema": by_version["schema"]}).json() == by_version


def test_latest_is_the_newest(client: TestClient) -> None:
    newest = bundled().latest("event")
    for word in ("latest", "-1", str(newest.version)):
        assert got(client, f"/subjects/event/versions/{word}")["id"] == newest.id


def test_what_a_registry_says_of_itself(client: TestClient) -> None:
    assert got(client, "/") == {}
    assert got(client, "/contexts") == ["."]
    assert got(client, "/schemas/types") == ["AVRO"]
    assert got(client, "/config") == got(client, "/config/event") == {"compatibilityLevel": "FULL_TRANSITIVE"}
    assert got(client, "/mode") == got(client, "/mode/event") == {"mode": "READONLY"}
    assert got(client, "/schemas/ids/3?fetchMaxId=true")["maxId"] == max(s.id for s in bundled().schemas())
    assert client.head("/subjects").status_code == 200


def test_references_are_told_both_ways(shopped: TestClient, tmp_path: Path) -> None:
    bought = got(shopped, "/subjects/bought/versions/1")
    assert bought["references"] == BOUGHT["references"]
    assert got(shopped, "/subjects/leaflet_context/versions/latest/referencedby") == [bought["id"]]
    assert got(shopped, "/subjects/bought/versions/1/referencedby") == []
    assert "references" not in got(shopped, "/subjects/leaflet_context/versions/1")


def test_the_text_behind_an_id_never_changes(tmp_path: Path) -> None:
    """Neither by its lifecycle nor by the layout of the file, which no fingerprint sees."""
    before = got(client_of(shop(tmp_path)), "/subjects/bought/versions/1")
    assert "status" not in json.loads(before["schema"])
    moved = dict(reversed(BOUGHT.items())) | {"status": "deprecated", "sunset": "2030-01-01"}
    write(tmp_path, "bought", 1, moved)
    after = got(client_of(tmp_path), "/subjects/bought/versions/1")
    assert after == before


def test_the_text_is_what_the_fingerprint_was_made_of() -> None:
    for schema in bundled().schemas():
        assert hashlib.sha256(text(schema).encode()).hexdigest() == lock.fingerprint(schema.source)


def test_a_subject_has_the_mode_its_newest_version_asks_for(tmp_path: Path) -> None:
    shop(tmp_path)
    release(tmp_path, "bought", 2, BOUGHT | {"compatibility": "BACKWARD", "doc": "2"})
    assert got(client_of(tmp_path), "/config/bought") == {"compatibilityLevel": "BACKWARD"}


# -- looking up a schema


def test_a_schema_is_found_by_what_avro_knows_of_it(shopped: TestClient) -> None:
    """A client may have read ours with a library that keeps Avro's attributes alone."""
    plain = {key: BOUGHT[key] for key in ("type", "name", "namespace")} | {
        "fields": [{k: v for k, v in field.items() if k != "pii"} for field in BOUGHT["fields"]]
    }
    body = {"schema": json.dumps(plain), "schemaType": "AVRO", "references": BOUGHT["references"], "metadata": None}
    assert shopped.post("/subjects/bought?normalize=true&deleted=false", json=body).json()["version"] == 1
    assert shopped.post("/subjects/bought/versions", json=body).json()["id"] == 101


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Sold"},
        {"fields": BOUGHT["fields"][:2]},
        {"fields": [BOUGHT["fields"][0] | {"type": "bytes"}, *BOUGHT["fields"][1:]]},
        {"fields": [*BOUGHT["fields"][:2], BOUGHT["fields"][2] | {"default": "x"}]},
    ],
    ids=["name", "field", "logical type", "default"],
)
def test_another_schema_is_not_found(shopped: TestClient, change: dict[str, Any]) -> None:
    body = {"schema": json.dumps(BOUGHT | change)}
    assert refused(shopped.post("/subjects/bought", json=body)) == (404, 40403)
    assert refused(shopped.post("/subjects/elsewhere", json=body)) == (404, 40401)


def test_of_two_versions_that_avro_cannot_tell_apart_the_same_one_is_found(tmp_path: Path) -> None:
    shop(tmp_path)
    release(tmp_path, "bought", 2, BOUGHT | {"doc": "Sold, in other words."})
    found = client_of(tmp_path).post("/subjects/bought", json={"schema": json.dumps(BOUGHT)}).json()
    assert found["version"] == 1


# -- compatibility


def test_compatibility(shopped: TestClient) -> None:
    good = BOUGHT | {"fields": [*BOUGHT["fields"], {"name": "more", "type": "string", "default": ""}]}
    bad = BOUGHT | {"fields": [*BOUGHT["fields"], {"name": "more", "type": "string"}]}
    for path in ("versions/latest", "versions/1", "versions"):
        url = f"/compatibility/subjects/bought/{path}"
        assert shopped.post(url, json={"schema": json.dumps(good)}).json() == {"is_compatible": True}
        assert shopped.post(url, json={"schema": json.dumps(bad)}).json() == {"is_compatible": False}
        told = shopped.post(f"{url}?verbose=true", json={"schema": json.dumps(bad)}).json()
        assert told["is_compatible"] is False
        assert any("more" in message for message in told["messages"])
    for path, expected in (("bought/versions/2", (404, 40402)), ("none/versions", (404, 40401))):
        answer = shopped.post(f"/compatibility/subjects/{path}", json={"schema": json.dumps(good)})
        assert refused(answer) == expected


def test_a_version_that_was_broken_is_held_against_nobody(tmp_path: Path) -> None:
    shop(tmp_path)
    broken = BOUGHT | {"fields": [*BOUGHT["fields"], {"name": "more", "type": "string"}]}
    release(tmp_path, "bought", 2, broken | {"supersededBy": 1})
    posted = client_of(tmp_path).post("/compatibility/subjects/bought/versions", json={"schema": json.dumps(BOUGHT)})
    assert posted.json() == {"is_compatible": True}


# -- what is refused


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/subjects/none/versions", (404, 40401)),
        ("/subjects/none/versions/latest", (404, 40401)),
        ("/subjects/event/versions/99", (404, 40402)),
        ("/subjects/event/versions/2147483647", (404, 40402)),
        ("/subjects/event/versions/0", (422, 42202)),
        ("/subjects/event/versions/-2", (422, 42202)),
        ("/subjects/event/versions/2147483648", (422, 42202)),
        ("/subjects/event/versions/1e3", (422, 42202)),
        ("/subjects/event/versions/newest", (422, 42202)),
        ("/subjects/event/versions/%D9%A1", (422, 42202)),  # an Arabic 1
        (f"/subjects/event/versions/{'9' * 5000}", (422, 42202)),
        ("/schemas/ids/99", (404, 40403)),
        ("/schemas/ids/0", (404, 40403)),
        ("/schemas/ids/-1", (404, 40403)),
        ("/schemas/ids/x", (404, 40403)),
        (f"/schemas/ids/{'9' * 5000}", (404, 40403)),
        ("/schemas/ids/99/versions", (404, 40403)),
        ("/schemas/guids/00000000-0000-0000-0000-000000000000", (404, 40403)),
        ("/schemas/guids/x", (404, 40403)),
        ("/config/none", (404, 40401)),
        ("/mode/none", (404, 40401)),
        ("/subjects?limit=x", (400, 400)),
        (f"/subjects?offset={'9' * 5000}", (400, 400)),
        ("/nothing/here", (404, 404)),
        ("/subjects/", (404, 404)),
        ("/subjects/a%2Fb/versions", (404, 404)),
    ],
)
def test_what_is_not_there_is_a_typed_error(client: TestClient, path: str, expected: tuple[int, int]) -> None:
    answer = client.get(path)
    assert refused(answer) == expected


@pytest.mark.parametrize(
    "path", ["/subjects/event", "/subjects/event/versions", "/compatibility/subjects/event/versions"]
)
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", (400, 400)),
        (b"{", (400, 400)),
        (b"[]", (400, 400)),
        (b"\xff", (400, 400)),
        (b"[" * 100_000, (400, 400)),
        (b'{"schema": 1}', (400, 400)),
        (b'{"schema": "{}", "references": [{}]}', (400, 400)),
        (b"{}", (422, 42201)),
        (b'{"schema": ""}', (422, 42201)),
        (b'{"schema": "{"}', (422, 42201)),
        (b'{"schema": "\\"string\\""}', (422, 42201)),
        (b'{"schema": "{\\"type\\": \\"record\\"}"}', (422, 42201)),
        (b'{"schema": "{\\"type\\": \\"record\\", \\"name\\": \\"A\\", \\"fields\\": 1}"}', (422, 42201)),
        (b'{"schema": "syntax = 3", "schemaType": "PROTOBUF"}', (422, 42201)),
        (json.dumps({"schema": json.dumps(BOUGHT)}).encode(), (422, 42201)),  # its reference is not in this registry
        (json.dumps({"schema": '{"type":"record","name":"A","fields":' + "[" * 50_000}).encode(), (422, 42201)),
        (b" " * (MAX_BODY_BYTES + 1), (413, 413)),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_bodies_that_are_none(client: TestClient, path: str, body: bytes, expected: tuple[int, int]) -> None:
    assert refused(client.post(path, content=body)) == expected


def test_what_would_write_is_refused_and_says_how_to_release(client: TestClient) -> None:
    new = {"schema": json.dumps(EVENT.source | {"name": "Another"})}
    answers = [
        (client.post("/subjects/event/versions", json=new), (422, 42205)),
        (client.post("/subjects/new/versions", json=new), (422, 42205)),
        (client.put("/config", json={"compatibility": "NONE"}), (405, 405)),
        (client.put("/config/event", json={"compatibility": "NONE"}), (405, 405)),
        (client.put("/mode", json={"mode": "READWRITE"}), (405, 405)),
        (client.delete("/subjects/event"), (405, 405)),
        (client.delete("/subjects/event/versions/1"), (405, 405)),
        (client.delete("/config/event"), (405, 405)),
        (client.patch("/subjects"), (405, 405)),
    ]
    for answer, expected in answers:
        assert refused(answer) == expected
        assert "sluice schemas release" in answer.json()["message"]
    assert client.get("/subjects/new/versions").status_code == 404


def test_registering_what_is_there_tells_its_id(client: TestClient) -> None:
    body = {"schema": json.dumps(EVENT.source)}
    for subject in ("event", "sluice.curated-value"):
        found = client.post(f"/subjects/{subject}/versions?normalize=False", json=body).json()
        assert found == {"id": EVENT.id, "version": 1, "guid": str(EVENT.guid)}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(sorted(BOUGHT)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*BOUGHT, "items", "values", "symbols", "size", "x"]), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(sorted(BOUGHT)), JSON), st.booleans())
def test_no_schema_text_is_a_defect_of_ours(client: TestClient, changes: dict[str, Any], is_whole: bool) -> None:
    """The client raises what the server did not turn into an answer."""
    source = (EVENT.source | changes) if is_whole else {"type": "record", "name": "A", "fields": []} | changes
    for path in ("/subjects/event", "/subjects/event/versions", "/compatibility/subjects/event/versions?verbose=true"):
        answer = client.post(path, json={"schema": json.dumps(source)})
        assert answer.status_code in {200, 404, 422}


@given(st.text(max_size=40), st.text(max_size=12))
def test_no_path_is_a_defect_of_ours(client: TestClient, name: str, number: str) -> None:
    name, number = quote(name, safe=""), quote(number, safe="")
    for path in (
        f"/subjects/{name}/versions/{number}",
        f"/subjects/event/versions/{number}",
        f"/schemas/ids/{number}",
        f"/schemas/guids/{name}",
        f"/config/{name}",
        f"/subjects?subjectPrefix={name}&limit={number}&offset={number}",
    ):
        assert client.get(path).status_code in {200, 400, 404, 405, 422}


# -- a release while it runs


def test_a_release_shows_within_a_second(tmp_path: Path) -> None:
    shop(tmp_path)
    clock = ManualClock()
    client = TestClient(create_app(FollowedRegistry(tmp_path, clock=clock), topics=TOPICS))
    assert got(client, "/subjects/bought/versions") == [1]
    release(tmp_path, "bought", 2, BOUGHT | {"doc": "2"})
    assert got(client, "/subjects/bought/versions") == [1]
    clock.advance(1)
    assert got(client, "/subjects/bought/versions") == [1, 2]


def test_a_folder_that_breaks_keeps_what_was_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shop(tmp_path)
    clock = ManualClock()
    current = FollowedRegistry(tmp_path, clock=clock)
    kept = (tmp_path / lock.FILE).read_bytes()
    (tmp_path / lock.FILE).write_text("{")
    clock.advance(1)
    assert current().versions("bought") == [1]
    assert "registry.not_reread" in caplog.text
    (tmp_path / lock.FILE).unlink()
    clock.advance(1)
    assert current().find("bought", 1) is None
    (tmp_path / lock.FILE).write_bytes(kept)
    clock.advance(1)
    assert current().versions("bought") == [1]


def test_a_draft_is_not_served(tmp_path: Path) -> None:
    shop(tmp_path)
    write(tmp_path, "bought", 2, BOUGHT | {"doc": "2"})
    client = client_of(tmp_path)
    assert got(client, "/subjects/bought/versions") == [1]
    assert refused(client.post("/subjects/bought", json={"schema": json.dumps(BOUGHT | {"doc": "2", "name": "B"})}))
