from __future__ import annotations

from typing import Any

import pytest

from fakecluster.api.kinds_workload.pod_defaults import default_pod
from fakecluster.api.kinds_workload.pod_validation import validate_pod

Json = dict[str, Any]


def complaints(spec: Json, **container: Any) -> list[str]:
    subject: Json = {
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i", **container}], **spec},
    }
    default_pod(subject)
    return [f"{error.field}: {error.message}" for error in validate_pod(subject)]


def test_a_bare_pod_is_valid() -> None:
    assert complaints({}) == []


CONTAINER = "spec.containers[0]"


@pytest.mark.parametrize(
    ("container", "wanted"),
    [
        ({"image": ""}, [f"{CONTAINER}.image: Required value"]),
        ({"image": " i"}, [f'{CONTAINER}.image: Invalid value: " i": must not have leading or trailing whitespace']),
        (
            {"ports": [{"containerPort": 70000}]},
            [f"{CONTAINER}.ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"],
        ),
        (
            {"ports": [{"containerPort": 1, "hostPort": 5}, {"containerPort": 2, "hostPort": 5}]},
            [f'{CONTAINER}.ports[1].hostPort: Duplicate value: "TCP//5"'],
        ),
        ({"readinessProbe": {}}, [f"{CONTAINER}.readinessProbe: Required value: must specify a handler type"]),
        (
            {"livenessProbe": {"exec": {"command": ["x"]}, "successThreshold": 2}},
            [f"{CONTAINER}.livenessProbe.successThreshold: Invalid value: 2: must be 1"],
        ),
        (
            {"lifecycle": {"preStop": {"sleep": {"seconds": 31}}}},
            [
                f"{CONTAINER}.lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than "
                "terminationGracePeriodSeconds (30)"
            ],
        ),
        (
            {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}},
            [f'{CONTAINER}.resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'],
        ),
        (
            {"resources": {"limits": {"memory": "-1"}}},
            [
                f'{CONTAINER}.resources.limits[memory]: Invalid value: "-1": must be greater than or equal to 0',
                f'{CONTAINER}.resources.requests[memory]: Invalid value: "-1": must be greater than or equal to 0',
            ],
        ),
        (
            {"volumeMounts": [{"name": "v", "mountPath": "/x"}]},
            [f'{CONTAINER}.volumeMounts[0].name: Not found: "v"'],
        ),
        (
            {"securityContext": {"runAsUser": -1}},
            [f"{CONTAINER}.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive"],
        ),
        ({"env": [{"name": ""}]}, [f"{CONTAINER}.env[0].name: Required value"]),
        (
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.restartPolicy"}}}]},
            [
                f'{CONTAINER}.env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "spec.restartPolicy": supported '
                'values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", '
                '"spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"'
            ],
        ),
    ],
)
def test_a_container_is_refused_in_the_servers_words(container: Json, wanted: list[str]) -> None:
    assert complaints({}, **container) == wanted


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({"containers": []}, ["spec.containers: Required value"]),
        ({"dnsPolicy": "None"}, ["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"]),
        (
            {"initContainers": [{"name": "i", "image": "i", "livenessProbe": {"tcpSocket": {"port": 1}}}]},
            [
                "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without "
                "restartPolicy=Always"
            ],
        ),
        (
            {"initContainers": [{"name": "c", "image": "i"}]},
            ['spec.initContainers[0].name: Duplicate value: "c"'],
        ),
        ({"hostUsers": False, "hostPID": True}, ["spec.HostPID: Forbidden: when `hostUsers` is false"]),
        (
            {"nodeName": "n", "schedulingGates": [{"name": "x.io/g"}]},
            ["spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"],
        ),
        (
            {"tolerations": [{"operator": "Equal"}]},
            [
                'spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, '
                'which means "match all values and all keys"'
            ],
        ),
        (
            {"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/x"}}]},
            ["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"],
        ),
        (
            {"volumes": [{"name": "v", "configMap": {"name": "c", "items": [{"key": "k", "path": "../x"}]}}]},
            ["spec.volumes[0].configMap.items[0].path: Invalid value: \"../x\": must not contain '..'"],
        ),
        (
            {"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}]},
            ["spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero"],
        ),
    ],
)
def test_a_pod_is_refused_in_the_servers_words(spec: Json, wanted: list[str]) -> None:
    assert complaints(spec) == wanted


def test_a_sidecar_may_have_probes() -> None:
    probe = {"tcpSocket": {"port": 1}}
    sidecar = {"name": "s", "image": "i", "restartPolicy": "Always", "livenessProbe": probe, "readinessProbe": probe}
    assert complaints({"initContainers": [sidecar]}) == []


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        (
            {"hostnameOverride": "x" * 65, "hostNetwork": True},
            [
                "spec.hostnameOverride: Forbidden: may not be specified when hostNetwork is true",
                "spec.hostnameOverride: Too long: may not be more than 64 bytes",
            ],
        ),
        ({"os": {"name": "windows"}, "hostPID": True}, ["spec.hostPID: Forbidden: cannot be set for a windows pod"]),
        (
            {"os": {"name": "linux"}, "securityContext": {"windowsOptions": {}}},
            ["spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod"],
        ),
        (
            {"hostPID": True, "shareProcessNamespace": True},
            [
                "spec.securityContext.shareProcessNamespace: Invalid value: true: "
                "ShareProcessNamespace and HostPID cannot both be enabled"
            ],
        ),
        (
            {"tolerations": [{"key": "a", "operator": "Lt", "value": "1"}]},
            ['spec.tolerations[0].operator: Unsupported value: "Lt": supported values: "Equal", "Exists", "Lt", "Gt"'],
        ),
    ],
)
def test_settings_of_pods_may_exclude_each_other(spec: Json, wanted: list[str]) -> None:
    assert complaints(spec) == wanted


def test_restart_rules_are_checked() -> None:
    rules = [{"action": "Stop", "exitCodes": {"operator": "Of", "values": [1]}}, {"action": "Restart"}]
    container = {"name": "c", "image": "i", "restartPolicy": "Never", "restartPolicyRules": rules}
    field = "spec.containers[0].restartPolicyRules"
    assert complaints({"containers": [container]}) == [
        f'{field}[0].action: Unsupported value: "Stop": supported values: "Restart"',
        f'{field}[0].exitCodes.operator: Unsupported value: "Of": supported values: "In", "NotIn"',
        f"{field}[1].exitCodes: Required value: must be specified",
    ]


def test_a_variable_from_a_file_needs_a_volume() -> None:
    reference = {"volumeName": "v", "path": "f", "key": "K"}
    container = {"name": "c", "image": "i", "env": [{"name": "A", "valueFrom": {"fileKeyRef": reference}}]}
    where = "spec.containers[0].env[0].valueFrom.fileKeyRef.volumeName"
    assert complaints({"containers": [container]}) == [f'{where}: Not found: "v"']
    volumes = [{"name": "v", "configMap": {"name": "x"}}]
    assert complaints({"containers": [container], "volumes": volumes}) == [
        f'{where}: Invalid value: "v": referenced volume must be of type emptyDir'
    ]


@pytest.mark.parametrize(
    ("sources", "wanted"),
    [
        (
            [{"secret": {"name": "s"}, "configMap": {"name": "c"}}],
            ["[0]: Forbidden: may not specify more than 1 volume type per source"],
        ),
        (
            [{"clusterTrustBundle": {"path": "p"}}],
            ["[0].clusterTrustBundle: Required value: either name or signerName must be specified"],
        ),
    ],
)
def test_a_projected_source_is_refused(sources: list[Json], wanted: list[str]) -> None:
    found = complaints({"volumes": [{"name": "v", "projected": {"sources": sources}}]})
    assert found == [f"spec.volumes[0].projected.sources{text}" for text in wanted]


def test_two_projected_files_may_not_meet() -> None:
    item = {"key": "k", "path": "f"}
    sources = [{"secret": {"name": "s", "items": [item]}}, {"configMap": {"name": "c", "items": [item]}}]
    assert complaints({"volumes": [{"name": "v", "projected": {"sources": sources}}]}) == [
        'spec.volumes[0].projected: Invalid value: "c": conflicting duplicate paths'
    ]


def test_a_recursive_mount_is_read_only() -> None:
    mount = {"name": "v", "mountPath": "/v", "recursiveReadOnly": "Enabled"}
    pod = {
        "containers": [{"name": "c", "image": "i", "volumeMounts": [mount]}],
        "volumes": [{"name": "v", "emptyDir": {}}],
    }
    assert complaints(pod) == [
        "spec.containers[0].volumeMounts.recursiveReadOnly: Forbidden: may only be specified when readOnly is true"
    ]


def test_repeated_spread_is_named_where_it_comes_first() -> None:
    constraint = {"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "ScheduleAnyway", "minDomains": 0}
    field = "spec.topologySpreadConstraints"
    assert complaints({"topologySpreadConstraints": [constraint, constraint]})[:3] == [
        f'{field}[0].{{topologyKey, whenUnsatisfiable}}: Duplicate value: "{{z, ScheduleAnyway}}"',
        f"{field}[0].minDomains: Invalid value: 0: must be greater than zero",
        f"{field}[0].minDomains: Invalid value: 0: "
        "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway",
    ]


def test_label_keys_may_not_be_selected_twice() -> None:
    selector = {"matchExpressions": [{"key": "a", "operator": "Exists"}, {"key": "a", "operator": "Exists"}]}
    term = {"topologyKey": "z", "labelSelector": selector, "matchLabelKeys": ["a"], "mismatchLabelKeys": ["a"]}
    field = "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution"
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    assert complaints({"affinity": affinity}) == [
        f'{field}[0][0]: Invalid value: "a": exists in both matchLabelKeys and labelSelector',
        f'{field}[0].matchLabelKeys[0]: Invalid value: "a": exists in both matchLabelKeys and mismatchLabelKeys',
    ]


@pytest.mark.parametrize(
    ("resources", "wanted"),
    [
        (
            {"limits": {"hugepages-2Mi": "3Mi", "cpu": "1"}},
            '.limits[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi',
        ),
        (
            {"claims": [{"name": "x"}]},
            '.claims[0]: Not found: "x": must be one of the names in pod.spec.resourceClaims which is empty',
        ),
        (
            {"limits": {"foo": "1"}},
            '.limits[foo]: Invalid value: "foo": must be a standard resource type or fully qualified',
        ),
    ],
)
def test_resources_of_a_container_are_refused(resources: Json, wanted: str) -> None:
    assert complaints({}, resources=resources)[0] == f"{CONTAINER}.resources{wanted}"


def test_containers_fit_into_the_resources_of_their_pod() -> None:
    def asking(name: str, cpu: str, **more: Any) -> Json:
        return {"name": name, "image": "i", "resources": {"requests": {"cpu": cpu}, "limits": {"cpu": cpu}}, **more}

    pod = {
        "containers": [asking("a", "1")],
        "initContainers": [asking("s", "1", restartPolicy="Always"), asking("i", "500m")],
        "resources": {"requests": {"cpu": "1500m", "gpu.test/x": "1"}, "limits": {"cpu": "1500m"}},
    }
    assert complaints(pod) == [
        'spec.resources.requests[gpu.test/x]: Unsupported value: "gpu.test/x": supported values: "cpu", "memory"',
        "spec.resources.limits: Required value: Limit must be set for non overcommitable resources",
        'spec.resources.requests[cpu]: Invalid value: "1500m": '
        "must be greater than or equal to aggregate container requests of 2",
    ]
