from __future__ import annotations

import copy
from typing import Any

import pytest

from fakecluster.api.kinds_workload.pod_defaults import default_template
from fakecluster.api.kinds_workload.template_hash import template_hash

Json = dict[str, Any]


@pytest.fixture
def template() -> Json:
    made: Json = {
        "metadata": {"labels": {"app": "api"}},
        "spec": {"containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}]},
    }
    default_template(made)
    return made


def test_a_template_hashes_as_a_real_controller_does(template: Json) -> None:
    assert template_hash(template) == "695576f959"  # seen on a 1.36 cluster


def test_collisions_change_the_hash(template: Json) -> None:
    assert len({template_hash(template), template_hash(template, 0), template_hash(template, 1)}) == 3


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("metadata", "annotations"), {"a": "b"}),
        (("spec", "nodeSelector"), {"a": "b"}),
        (("spec", "volumes"), [{"name": "v", "projected": {"sources": [{"configMap": {"name": "c"}}]}}]),
        (("spec", "tolerations"), [{"key": "a", "operator": "Exists"}]),
    ],
)
def test_every_part_counts(template: Json, path: tuple[str, str], value: Any) -> None:
    other = copy.deepcopy(template)
    other[path[0]][path[1]] = value
    assert template_hash(other) != template_hash(template)


def test_amounts_and_probes_count(template: Json) -> None:
    seen = set()
    for amount in ("1", "500m", "1Gi", "1k", "1e3"):
        container = template["spec"]["containers"][0]
        container["resources"] = {"limits": {"memory": amount}}
        container["readinessProbe"] = {"httpGet": {"port": "http", "path": "/", "scheme": "HTTP"}}
        seen.add(template_hash(template))
    assert len(seen) == 5
