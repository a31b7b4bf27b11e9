from __future__ import annotations

import copy
from typing import Any

import pytest

from fakecluster.api import schema
from fakecluster.api.kinds_workload import internal_types
from fakecluster.api.kinds_workload.internal_types import wire_name
from fakecluster.api.kinds_workload.pod_defaults import default_pod
from fakecluster.api.kinds_workload.pod_update import validate_pod_status, validate_pod_update

Json = dict[str, Any]
FROZEN = (
    "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"
)


@pytest.fixture
def pod() -> Json:
    subject: Json = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}
    default_pod(subject)
    subject["status"] = {"phase": "Pending", "qosClass": "BestEffort"}
    return subject


def changed(pod: Json, **spec: Any) -> Json:
    other = copy.deepcopy(pod)
    other["spec"].update(spec)
    return other


def test_an_image_may_change(pod: Json) -> None:
    new = copy.deepcopy(pod)
    new["spec"]["containers"][0]["image"] = "i:2"
    assert validate_pod_update(new, pod) == []


def test_tolerations_may_only_be_added(pod: Json) -> None:
    old = changed(pod, tolerations=[{"key": "a", "operator": "Exists"}])
    more = changed(pod, tolerations=[{"key": "b", "operator": "Exists"}, {"key": "a", "operator": "Exists"}])
    assert validate_pod_update(more, old) == []
    (error,) = validate_pod_update(pod, old)
    assert error.message == "Forbidden: existing toleration can not be modified except its tolerationSeconds"


def test_a_deadline_may_only_shrink(pod: Json) -> None:
    old = changed(pod, activeDeadlineSeconds=10)
    assert validate_pod_update(changed(pod, activeDeadlineSeconds=9), old) == []
    (error,) = validate_pod_update(changed(pod, activeDeadlineSeconds=11), old)
    assert error.message == "Invalid value: 11: must be less than or equal to previous value"


def test_another_change_is_answered_with_a_diff_of_the_servers_types(pod: Json) -> None:
    (error,) = validate_pod_update(changed(pod, dnsPolicy="Default"), pod)
    assert error.message == FROZEN + (
        "@@ -38,7 +38,7 @@\n"
        '  "RestartPolicy": "Always",\n'
        '  "TerminationGracePeriodSeconds": 30,\n'
        '  "ActiveDeadlineSeconds": null,\n'
        '- "DNSPolicy": "ClusterFirst",\n'
        '+ "DNSPolicy": "Default",\n'
        '  "NodeSelector": null,\n'
        '  "ServiceAccountName": "",\n'
        '  "AutomountServiceAccountToken": null,\n'
    )


def test_a_gated_pod_may_become_choosier_about_nodes(pod: Json) -> None:
    gates = [{"name": "x.io/g"}]
    old = changed(pod, schedulingGates=gates, nodeSelector={"a": "1"})
    assert validate_pod_update(changed(pod, schedulingGates=gates, nodeSelector={"a": "1", "b": "2"}), old) == []
    (error,) = validate_pod_update(changed(pod, schedulingGates=gates), old)
    assert error.message == (
        "Invalid value: {}: only additions to spec.nodeSelector are allowed (no mutations or deletions)"
    )


def test_containers_may_not_come_or_go(pod: Json) -> None:
    new = changed(pod, containers=[*pod["spec"]["containers"], {**pod["spec"]["containers"][0], "name": "d"}])
    errors = validate_pod_update(new, pod)
    assert [f"{e.field}: {e.message}" for e in errors] == [
        "spec.containers: Forbidden: pod updates may not add or remove containers"
    ]


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        ({"podIPs": [{"ip": "010.0.0.1"}]}, 'status.podIPs[0]: Invalid value: "010.0.0.1": must not have leading 0s'),
        (
            {"podIPs": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]},
            'status.podIPs: Invalid value: [{"IP":"10.0.0.1"},{"IP":"10.0.0.2"}]: '
            "may specify no more than one IP for each IP family",
        ),
        (
            {"hostIP": "1.1.1.1", "hostIPs": [{"ip": "1.1.1.2"}]},
            'status.hostIPs[0].ip: Invalid value: "1.1.1.2": must be equal to `hostIP`',
        ),
        ({"qosClass": "Burstable"}, 'status.qosClass: Invalid value: "Burstable": field is immutable'),
    ],
)
def test_a_status_is_refused(pod: Json, status: Json, wanted: str) -> None:
    new = {**pod, "status": {**pod["status"], **status}}
    assert [f"{error.field}: {error.message}" for error in validate_pod_status(new, pod)] == [wanted]


def test_a_finished_container_does_not_run_again_where_nothing_restarts_it(pod: Json) -> None:
    over = [{"name": "c", "state": {"terminated": {"exitCode": 0}}}]
    runs = [{"name": "c", "state": {"running": {}}}]
    old = {**changed(pod, restartPolicy="Never"), "status": {**pod["status"], "containerStatuses": over}}
    new = {**old, "status": {**pod["status"], "containerStatuses": runs}}
    (error,) = validate_pod_status(new, old)
    assert (error.field, error.message) == (
        "status.containerStatuses[0].state",
        "Forbidden: may not be transitioned to non-terminated state",
    )


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("DNSPolicy", "dnsPolicy"),
        ("SELinuxOptions", "seLinuxOptions"),
        ("OS", "os"),
        ("HostIP", "hostIP"),
        ("FSGroupChangePolicy", "fsGroupChangePolicy"),
    ],
)
def test_wire_names_follow_from_the_go_names(name: str, wanted: str) -> None:
    assert wire_name(name) == wanted


def test_every_field_of_a_pod_has_a_place_in_the_difference() -> None:
    """The host fields move into the security context; serviceAccount is gone inside; metadata is printed inline."""
    names: set[str] = set()
    missing: set[str] = set()
    pending = [("PodSpec", "io.k8s.api.core.v1.PodSpec")]
    while pending:
        kind, name = pending.pop()
        if kind in names:
            continue
        names.add(kind)
        properties = schema.definitions()[name]["properties"]
        fields = internal_types.COMPILED[kind]
        missing |= set(properties) - {wire for _, wire, _ in fields}
        for _, wire, inner in fields:
            inner = inner.removeprefix("[]").removeprefix("*")
            if inner in internal_types.COMPILED and wire in properties:
                prop = properties[wire].get("items", properties[wire])
                pending.append((inner, schema.reference(prop)))
    assert missing == {
        *("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"),
        *("serviceAccount", "metadata"),
    }
    assert len(names) > 80


def test_maps_are_printed_by_key(pod: Json) -> None:
    pod["spec"]["nodeSelector"] = {"z": "1", "a": "2"}
    changed = copy.deepcopy(pod)
    changed["spec"]["hostname"] = "other"
    changed["spec"]["nodeSelector"] = {"z": "1", "m": "3", "a": "2"}
    (error,) = validate_pod_update(changed, pod)
    assert '   "a": "2",\n+  "m": "3",\n   "z": "1"\n' in error.message


def test_a_container_may_restart_by_its_own_rules(pod: Json) -> None:
    over = [{"name": "c", "state": {"terminated": {"exitCode": 7}}}]
    runs = [{"name": "c", "state": {"running": {}}}]
    rules = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [7]}}]
    (container,) = pod["spec"]["containers"]
    ruled = [{**container, "restartPolicy": "Never", "restartPolicyRules": rules}]
    old = {**changed(pod, containers=ruled), "status": {**pod["status"], "containerStatuses": over}}
    new = {**old, "status": {**pod["status"], "containerStatuses": runs}}
    assert validate_pod_status(new, old) == []


def test_a_gated_pod_keeps_the_terms_of_its_affinity(pod: Json) -> None:
    def gated(*terms: Json) -> Json:
        selector = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
        return changed(pod, schedulingGates=[{"name": "g"}], affinity={"nodeAffinity": selector})

    one, two = ({"key": key, "operator": "Exists"} for key in ("a", "b"))
    old = gated({"matchExpressions": [one]})
    assert validate_pod_update(gated({"matchExpressions": [one, two]}), old) == []
    (error,) = validate_pod_update(gated({"matchExpressions": [two]}), old)
    assert error.field.endswith("nodeSelectorTerms[0]")
    assert error.message.endswith("only additions are allowed (no mutations or deletions)")
    (error,) = validate_pod_update(gated({"matchExpressions": [one]}, {"matchExpressions": [two]}), old)
    assert error.message.endswith("no additions/deletions to non-empty NodeSelectorTerms list are allowed")
