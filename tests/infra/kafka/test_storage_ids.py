"""Cluster ids are what Kafka's own tools take."""

from __future__ import annotations

import base64
import uuid

import pytest

from infra.kafka import storage


def test_a_cluster_id_never_looks_like_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    dashed, plain = base64.urlsafe_b64decode("-" + "A" * 21 + "=="), bytes(range(16))
    drawn = iter([uuid.UUID(bytes=dashed), uuid.UUID(bytes=dashed), uuid.UUID(bytes=plain)])
    monkeypatch.setattr(uuid, "uuid4", lambda: next(drawn))
    made = storage._new_cluster_id()
    assert not made.startswith("-")
    assert base64.urlsafe_b64decode(made + "==") == plain
