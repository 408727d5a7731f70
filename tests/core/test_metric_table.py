"""The table of metrics: the type's names and the table's are one."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from core import local_metrics, metrics
from core.metrics import METRICS, Metric, MetricName, observe_many

_ROOT = Path(__file__).parents[2]
_LOCAL_MAKERS = {"counter": local_metrics.counter, "histogram": local_metrics.histogram}
_MAKERS = {"counter": metrics.counter, "gauge": metrics.gauge, "histogram": metrics.histogram}


def test_names_of_type_and_table_agree() -> None:
    assert [metric.name for metric in METRICS] == list(get_args(MetricName))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_row_follows_the_conventions(metric: Metric) -> None:
    """https://prometheus.io/docs/practices/naming/"""
    assert re.fullmatch(r"sluice_(collector|streams|processor|sink)_[a-z_]+", metric.name)
    assert metric.help.endswith(".")
    kind: str = metric.kind
    assert metric.name.endswith("_total") == (kind == "counter")
    assert bool(metric.buckets) == (kind == "histogram")
    assert tuple(sorted(set(metric.buckets))) == metric.buckets


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_row_becomes_one_collector(metric: Metric) -> None:
    make: Any = (_LOCAL_MAKERS if metric.local else _MAKERS)[metric.kind]
    made = make(metric.name)
    assert type(made).__name__.endswith(metric.kind.capitalize())
    assert made is make(metric.name)
    (described,) = made.collect() if metric.local else made.describe()
    assert described.documentation == metric.help


def test_every_use_is_of_the_kind_that_the_table_says() -> None:
    """The type checks names only: `counter` of a gauge would register two collectors under one name."""
    kinds: dict[str, str] = {metric.name: metric.kind for metric in METRICS}
    used: set[str] = set()
    for room in ("collector", "streams", "sinks"):
        for path in (_ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                    name = node.args[0].value
                    if called in _MAKERS and isinstance(name, str):
                        assert kinds[name] == called, f"{path}:{node.lineno}"
                        used.add(name)
    assert {name for name in kinds if name.startswith(("sluice_streams", "sluice_sink"))} <= used


@given(st.lists(st.floats(0, 20), max_size=50))
def test_many_at_once_is_each_of_them(values: list[float]) -> None:
    buckets = (0.001, 0.5, 1.0, 10.0)
    one, many = (Histogram(name, "h", registry=CollectorRegistry(), buckets=buckets) for name in ("one", "many"))
    values = [*values, *buckets]
    for value in values * 3:
        one.observe(value)
    observe_many(many, np.array(values), weight=3.0)
    found = [
        {(s.name.partition("_")[2], s.labels.get("le")): s.value for m in h.collect() for s in m.samples}
        for h in (one, many)
    ]
    for each in found:
        each.pop(("created", None), None)
    assert found[0] == pytest.approx(found[1])
