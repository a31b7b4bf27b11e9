from __future__ import annotations

from typing import Any

import pytest

from fakecluster.api.kinds_workload.pod_warnings import pod_warnings, template_warnings

Json = dict[str, Any]


def pod(name: str = "p", **spec: Any) -> Json:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({}, []),
        (
            {"nodeSelector": {"beta.kubernetes.io/os": "linux"}},
            ['spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead'],
        ),
        (
            {"imagePullSecrets": [{"name": "a"}, {"name": "a"}, {}]},
            [
                'spec.imagePullSecrets[1].name: duplicate name "a"',
                'spec.imagePullSecrets[2].name: invalid empty name ""',
            ],
        ),
        (
            {"containers": [{"env": [{"name": "A"}, {"name": "A"}]}]},
            [
                'spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply',
            ],
        ),
        (
            {
                "containers": [
                    {"ports": [{"name": "h", "containerPort": 1}]},
                    {"ports": [{"name": "h", "containerPort": 2}]},
                ]
            },
            [
                'spec.containers[1].ports[0]: duplicate port name "h" with spec.containers[0].ports[0], services and '
                "probes that select ports by name will use spec.containers[0].ports[0]",
            ],
        ),
        (
            {"containers": [{"resources": {"limits": {"memory": "100m"}}}]},
            [
                'spec.containers[0].resources.limits[memory]: fractional byte value "100m" is invalid, '
                "must be an integer",
            ],
        ),
    ],
)
def test_a_pod_is_warned_about(spec: Json, wanted: list[str]) -> None:
    assert pod_warnings(pod(**spec), None) == wanted


def test_a_pod_is_not_warned_about_again() -> None:
    subject = pod(nodeSelector={"beta.kubernetes.io/os": "linux"})
    assert pod_warnings(subject, None) != []
    assert pod_warnings(subject, subject) == []


def test_a_workload_is_warned_about_whenever_it_counts() -> None:
    template = pod(nodeSelector={"beta.kubernetes.io/os": "linux"})
    old, new = ({"metadata": {"name": "w", "generation": count}, "spec": {"template": template}} for count in (1, 2))
    assert len(template_warnings()(new, old)) == 1
    assert template_warnings()(new, new) == []


def test_ports_that_get_in_each_others_way_are_warned_about() -> None:
    ports = [
        {"containerPort": 80, "protocol": "TCP"},
        {"containerPort": 80, "protocol": "TCP"},
        {"containerPort": 80, "protocol": "TCP", "hostPort": 8},
        {"containerPort": 80, "protocol": "TCP", "hostPort": 8, "hostIP": "1.1.1.1"},
        {"containerPort": 81, "protocol": "TCP", "hostIP": "1.1.1.1", "name": "x"},
    ]
    where = "spec.containers[0].ports"
    assert pod_warnings(pod(containers=[{"ports": ports}]), None) == [
        f"{where}[1]: duplicate port definition with {where}[0]",
        f"{where}[2]: overlapping port definition with {where}[0]",
        f"{where}[2]: overlapping port definition with {where}[1]",
        f"{where}[3]: overlapping port definition with {where}[0]",
        f"{where}[3]: overlapping port definition with {where}[1]",
        f"{where}[3]: dangerously ambiguous port definition with {where}[2]",
        f"{where}[4]: hostIP set without hostPort: {{Name:x HostPort:0 ContainerPort:81 Protocol:TCP HostIP:1.1.1.1}}",
    ]


def test_selectors_that_match_nothing_are_warned_about() -> None:
    constraint = {"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}
    term = {"weight": 1, "podAffinityTerm": {"topologyKey": "z"}}
    affinity = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term]}}
    words = "a null labelSelector results in matching no pod"
    place = "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm"
    assert pod_warnings(pod(topologySpreadConstraints=[constraint], affinity=affinity), None) == [
        f"spec.topologySpreadConstraints[0].labelSelector: {words}",
        f"{place}.labelSelector: {words}",
    ]


def test_a_variable_may_extend_itself() -> None:
    variables = [{"name": "A", "value": "x"}, {"name": "A", "value": "$(A)y"}]
    assert pod_warnings(pod(containers=[{"env": variables}]), None) == []


def test_names_that_make_bad_host_names_are_warned_about() -> None:
    (warning,) = pod_warnings(pod("a.b"), None)
    assert warning == (
        "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; "
        "a DNS label is recommended: [must not contain dots]"
    )
    workload = {"metadata": {"name": "a.b"}, "spec": {"template": pod()}}
    assert len(template_warnings()(workload, None)) == 1
    assert template_warnings(named=False)(workload, None) == []
